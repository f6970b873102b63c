define void @_body(ptr %)
% = call i64 @llvm.smin.i64(i64 %, i64 %)
% = load <8 x float>, ptr %
% = fadd <8 x float> %, %
% = fmul <8 x float> %, <float 6.250000e-02, float 6.250000e-02, float 6.250000e-02, float 6.250000e-02, float 6.250000e-02, float 6.250000e-02, float 6.250000e-02, float 6.250000e-02>
store <8 x float> %, ptr %
