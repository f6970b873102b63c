define void @_body(ptr %)
% = fcmp olt double %, %
% = select i1 %, double %, double %
% = fsub double %, %
% = call double @llvm.exp.f64(double %)
% = fadd double %, %
% = fsub double %, %
% = call double @llvm.exp.f64(double %)
% = fdiv double %, %
