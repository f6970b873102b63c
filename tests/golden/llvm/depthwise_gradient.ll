define void @_body(ptr %)
store <8 x float> zeroinitializer, ptr %
% = call i64 @llvm.smin.i64(i64 %, i64 %)
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
store <8 x float> zeroinitializer, ptr %
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
% = load <8 x float>, ptr %
% = call <8 x float> @llvm.fma.v8f32(<8 x float> %, <8 x float> %, <8 x float> %)
store <8 x float> %, ptr %
define void @_finish(ptr %)
% = call i64 @llvm.smin.i64(i64 %, i64 0)
% = load <8 x float>, ptr %
% = fadd <8 x double> %, %
