define void @_body(ptr %)
store <8 x float> zeroinitializer, ptr %
% = call i64 @llvm.smin.i64(i64 %, i64 %)
% = select i1 %, ptr %, ptr %
% = load <8 x float>, ptr %
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
define void @_finish(ptr %)
% = load <8 x float>, ptr %
% = fadd <8 x double> %, %
