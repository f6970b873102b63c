define void @_body(ptr %)
store <8 x float> <float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000>, ptr %
% = load <8 x float>, ptr %
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
call void @llvm.prefetch.p0(ptr nonnull %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
call void @llvm.prefetch.p0(ptr nonnull %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
call void @llvm.prefetch.p0(ptr nonnull %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
store <8 x float> <float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000, float 0xFFF0000000000000>, ptr %
% = load <8 x float>, ptr %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
% = fcmp ogt <8 x float> %, %
% = select <8 x i1> %, <8 x float> %, <8 x float> %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
