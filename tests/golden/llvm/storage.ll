define void @_prepare(ptr %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
define void @_body(ptr %)
store <8 x float> zeroinitializer, ptr %
% = call i64 @llvm.smin.i64(i64 %, i64 %)
store <8 x float> zeroinitializer, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
store <8 x float> zeroinitializer, ptr %
% = load <8 x float>, ptr %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
store <8 x float> %, ptr %
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
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
store <8 x float> %, ptr %
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
% = load <8 x float>, ptr %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = and <8 x i32> %, <i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1>
% = add <8 x i32> %, <i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767>
% = add <8 x i32> %, %
% = and <8 x i32> %, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
% = fcmp uno <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x i32> <i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1>, <8 x i32> %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
store <8 x i16> %, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = and <8 x i32> %, <i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1>
% = add <8 x i32> %, <i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767>
% = add <8 x i32> %, %
% = and <8 x i32> %, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
% = fcmp uno <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x i32> <i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1>, <8 x i32> %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
store <8 x i16> %, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = and <8 x i32> %, <i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1>
% = add <8 x i32> %, <i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767>
% = add <8 x i32> %, %
% = and <8 x i32> %, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
% = fcmp uno <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x i32> <i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1>, <8 x i32> %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
store <8 x i16> %, ptr %
% = fadd <8 x float> %, %
% = load <8 x float>, ptr %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = and <8 x i32> %, <i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1, i32 1>
% = add <8 x i32> %, <i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767, i32 32767>
% = add <8 x i32> %, %
% = and <8 x i32> %, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
% = fcmp uno <8 x float> %, zeroinitializer
% = select <8 x i1> %, <8 x i32> <i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1, i32 -1>, <8 x i32> %
% = lshr <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
store <8 x i16> %, ptr %
% = fadd <8 x float> %, %
% = load <8 x double>, ptr %
% = fadd <8 x double> %, %
store <8 x double> %, ptr %
define void @_finish(ptr %)
% = load <8 x double>, ptr %
% = fadd <8 x double> %, %
store <8 x float> %, ptr %
define void @_prepare(ptr %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = fmul float %, 5.000000e-01
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float -5.000000e-01, float %)
% = call float @llvm.fma.f32(float %, float 5.000000e-01, float %)
define void @_body(ptr %)
% = select i1 %, i64 0, i64 2
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
store <8 x float> zeroinitializer, ptr %
% = load <8 x i16>, ptr %
% = zext <8 x i16> % to <8 x i32>
% = shl nuw <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = load <8 x i16>, ptr %
% = zext <8 x i16> % to <8 x i32>
% = shl nuw <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = load <8 x i16>, ptr %
% = zext <8 x i16> % to <8 x i32>
% = shl nuw <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
% = load <8 x i16>, ptr %
% = zext <8 x i16> % to <8 x i32>
% = shl nuw <8 x i32> %, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
store <8 x i32> %, ptr %
store <8 x float> zeroinitializer, ptr %
% = load <8 x float>, ptr %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
store <8 x float> %, ptr %
% = select i1 %, ptr %, ptr %
% = load <8 x float>, ptr %
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
% = shufflevector <8 x float> %, <8 x float> poison, <8 x i32> zeroinitializer
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
call void @llvm.prefetch.p0(ptr %, i32 0, i32 2, i32 1)
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
% = fadd <8 x float> %, %
% = fsub <8 x float> %, %
store <8 x float> %, ptr %
