define void @_body(ptr %)
% = call i64 @llvm.smin.i64(i64 %, i64 %)
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = load <8 x float>, ptr %
store <8 x float> %, ptr %
% = fcmp olt double %, %
% = select i1 %, double %, double %
% = fsub double %, %
% = call double @llvm.exp.f64(double %)
% = fadd double %, %
% = call double @llvm.log.f64(double %)
% = fsub double %, %
% = select i1 %, double 1.000000e+00, double 0.000000e+00
% = fmul double %, %
% = fsub double %, %
% = fadd double %, %
define void @_finish(ptr %)
% = fadd double %, %
% = fdiv double %, %
