define void @_prepare(ptr %)
define void @_body(ptr %)
% = select i1 %, i64 0, i64 2
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
% = load <8 x float>, ptr %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
% = load <8 x float>, ptr %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
% = load <8 x float>, ptr %
% = fcmp ogt <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x float> %, <8 x float> zeroinitializer
store <8 x float> %, ptr %
% = call i64 @llvm.smax.i64(i64 %, i64 0)
% = call i64 @llvm.smin.i64(i64 %, i64 3)
% = select i1 %, ptr %, ptr %
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
store <8 x float> %, ptr %
