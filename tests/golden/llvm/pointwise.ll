define void @_body(ptr %)
% = call i64 @llvm.smin.i64(i64 %, i64 %)
% = load <8 x float>, ptr %
% = fmul contract <8 x float> %, %
% = fadd contract <8 x float> %, %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fmul contract <8 x float> %, %
% = fadd contract <8 x float> %, %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fmul contract <8 x float> %, %
% = fadd contract <8 x float> %, %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fmul contract <8 x float> %, %
% = fadd contract <8 x float> %, %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
store <8 x float> %, ptr %
