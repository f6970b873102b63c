define void @_prepare(ptr %)
define void @_body(ptr %)
store <8 x float> zeroinitializer, ptr %
% = call i64 @llvm.smin.i64(i64 %, i64 %)
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
store <8 x float> zeroinitializer, ptr %
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
% = load <8 x double>, ptr %
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
call void @llvm.prefetch.p0(ptr nonnull %, i32 0, i32 2, i32 1)
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = fadd <8 x double> %, %
store <8 x double> %, ptr %
define void @_finish(ptr %)
% = load <8 x double>, ptr %
% = fadd <8 x double> %, %
store <8 x float> %, ptr %
