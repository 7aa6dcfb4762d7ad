"""Bessel functions for kernels: bessel_j0 bessel_j1 bessel_y0 bessel_y1, and modified ones, k0 k0e k1 k1e, each as `name_f32` and `name_f64`.

Both compute in float64. With polynomials of t, |t| <= 1:

    |x| <= 5    J0 and J1 with their zeros there divided out; Y0 and Y1 from them and a logarithm, so that near zeros of Y only the
                absolute error is small
    |x| > 5     sqrt(2 / (pi x)) (P cos(x - c) - Q sin(x - c)), Hankel's expansion
    K0, K1      from I0, I1 and a logarithm up to 2; beyond, e**-x / sqrt(x) times a polynomial of 1 / x

The polynomials interpolate at the Chebyshev nodes of the interval, computed with 50 digits.
"""

import numpy as np

from numtape.kernels._vec_exp import exp_f64
from numtape.kernels._vec_llvm import fabs, polynomial, scalar, sqrt, where
from numtape.kernels._vec_log import log_f64
from numtape.kernels._vec_trig import cos_f64, sin_f64

ZEROS_0 = ((2.404825557695773, -1.176691651530894e-16), (5.520078110286311, 8.088597146146722e-17))
ZEROS_1 = ((3.8317059702075125, -1.5269184090088067e-16), (7.015586669815619, -9.414165653410389e-17))  # of J0 and J1, as sums
J0_NEAR = (  # J0(x) / ((x**2 - a**2) (x**2 - b**2)) of its zeros a, b, t = 2 x**2 / 25 - 1, on |t| <= 1
    5.714963521268943e-18, -3.524491123279285e-16, 1.867152785441342e-14, -8.404184719413499e-13, 3.163725917996461e-11,
    -9.781438946726333e-10, 2.4286220370253044e-08, -4.70629166457061e-07, 6.854954847201717e-06, -7.121705240575853e-05,
    0.0004876827177655839, -0.0019210870437164043, 0.0031873556303932387,
)  # fmt: skip
J1_NEAR = (  # J1(x) / (x (x**2 - a**2) (x**2 - b**2)) of its zeros, the same t
    7.050416329040996e-16, -3.4284868138829896e-14, 1.4012940779859684e-12, -4.742874391875283e-11, 1.300291872855903e-09,
    -2.811147254461386e-08, 4.625979215165331e-07, -5.51549445959931e-06, 4.42186880710148e-05, -0.0002093267221486019,
    0.0004323698734106474,
)  # fmt: skip
P0 = (  # the even part of Hankel's expansion, t = 50 / x**2 - 1, on |t| <= 1
    1.271448860182751e-12, -2.20674838856665e-12, -2.112308142670184e-12, 3.294537743078791e-12, 7.0047738350679404e-12,
    -1.3427834580652596e-11, 1.3943589383812143e-11, -3.55791675038456e-11, 1.03670169736276e-10, -2.8507882214749614e-10,
    8.54003871977743e-10, -2.8705733968372007e-09, 1.1058735249078502e-08, -5.086431842118327e-08, 2.9759005971931966e-07,
    -2.45996332181163e-06, 3.4917305812360574e-05, -0.0013274931272003938, 0.9986347659091991,
)  # fmt: skip
Q0 = (  # the odd part, times x / 5
    -5.523616181593213e-13, 8.542066354917149e-13, 1.8353916849335204e-12, -2.773138699457935e-12, -3.703689512139162e-12,
    5.732861330495173e-12, 2.2759928589809203e-12, -2.937730794695608e-12, -6.719003122849434e-12, 1.2842796590360137e-11,
    -2.008296613475568e-11, 4.691012086686932e-11, -1.1764051742211944e-10, 3.056265290093437e-10, -8.588124975313254e-10,
    2.6593201128192703e-09, -9.279600782059445e-09, 3.7740595057490125e-08, -1.8819750393338348e-07, 1.247822633955848e-06,
    -1.2677430885083468e-05, 0.00026284279458204925, -0.02472299270522373,
)  # fmt: skip
P1 = (  # the even part of Hankel's expansion, t = 50 / x**2 - 1, on |t| <= 1
    -1.65152726675189e-13, 2.5153606231368626e-13, 6.439728922770197e-13, -9.641607540524946e-13, -1.379246084538397e-12,
    2.0890785085949055e-12, 1.3050174222932325e-12, -1.860465517215782e-12, -1.972016778917678e-12, 3.391371341586873e-12,
    -2.99994393792743e-12, 6.96082795289366e-12, -1.8065630349913377e-11, 4.356594901242842e-11, -1.1154886407322715e-10,
    3.096804263367938e-10, -9.40142722076964e-10, 3.185459278475706e-09, -1.240312457317528e-08, 5.791661366821086e-08,
    -3.466718724497013e-07, 2.978621108926386e-06, -4.5782806531038275e-05, 0.0022414632139171266, 1.0022906462560661,
)  # fmt: skip
Q1 = (  # the odd part, times x / 5
    2.1120314766039272e-13, -3.0689099627006055e-13, -9.750828759511228e-13, 1.4027307695459562e-12, 2.2404200556242525e-12,
    -3.2292694096724266e-12, -2.8123850960603285e-12, 3.996950469181451e-12, 2.8601514147265898e-12, -4.242179770038478e-12,
    -2.397355189765864e-13, -3.0831839758809065e-13, 5.448951832948166e-12, -1.1089004622846377e-11, 2.240614653875661e-11,
    -5.186642520914349e-11, 1.273001464890975e-10, -3.324843448744737e-10, 9.405238613190503e-10, -2.932902520724905e-09,
    1.0328323994532929e-08, -4.253347680418714e-08, 2.1597707623481922e-07, -1.4739855897622739e-06, 1.579618835595342e-05,
    -0.00037296992436826017, 0.07460948663481604,
)  # fmt: skip
Y0_NEAR = (  # Y0(x) - 2 / pi log(x) J0(x), t = 2 x**2 / 25 - 1
    -1.287739680962835e-31, 1.9581396952338952e-29, -2.7086271468333326e-27, 3.3939616972216855e-25, -3.8313219931865203e-23,
    3.8739087081748775e-21, -3.485639027360825e-19, 2.7705176100544866e-17, -1.9291383120373744e-15, 1.1655646796372872e-13,
    -6.0431823484297045e-12, 2.6539990839374175e-10, -9.720964496817289e-09, 2.914220687772686e-07, -6.985504367743399e-06,
    0.00012994629092087043, -0.001802809666552602, 0.01763534538933875, -0.11151682184328618, 0.38851639956570944,
    -0.4705763655297288, -0.4326558222855125, 0.4837248578102995,
)  # fmt: skip
Y1_NEAR = (  # (Y1(x) - 2 / pi (log(x) J1(x) - 1 / x)) / x
    -2.831790966709923e-33, 4.505655698522955e-31, -6.535870518178438e-29, 8.608724994259164e-27, -1.0242784314757052e-24,
    1.094837205520009e-22, -1.0448768273065042e-20, 8.842354245031678e-19, -6.583659015027774e-17, 4.274590787663781e-15,
    -2.395477277225695e-13, 1.1448948813735761e-11, -4.60130424437038e-10, 1.5288901821936093e-08, -4.113778077369878e-07,
    8.73309830485033e-06, -0.00014141835794491777, 0.0016688031328635938, -0.013433433740818153, 0.06634695354779108,
    -0.16312020358118715, 0.09108650838448444, 0.13974939033568806,
)  # fmt: skip
K0_NEAR = (  # K0(x) + log(x / 2) I0(x), t = x**2 / 2 - 1, for x <= 2
    1.0069753958046533e-31, 5.050521833837725e-29, 2.2222971284243747e-26, 8.500138098680945e-24, 2.796312595171995e-21,
    7.81452685015662e-19, 1.8282151319544918e-16, 3.51841661222249e-14, 5.452107597454681e-12, 6.623013294284953e-10,
    6.093361934165666e-08, 4.054506619948951e-06, 0.00018280555827901256, 0.005053392643196092, 0.07177701034240512,
    0.3404973210133806, -0.30362077291575545,
)  # fmt: skip
K1_NEAR = (  # (K1(x) - log(x / 2) I1(x) - 1 / x) / x
    -8.43709692702938e-18, -1.7896636751789106e-15, -3.0890071516792656e-13, -4.235477487577751e-11, -4.473708999196593e-09,
    -3.4958297951001923e-07, -1.9109762342337995e-05, -0.0006724746609653153, -0.013254642948920608, -0.10866462148495122,
    -0.057455856135205326,
)  # fmt: skip
K0_FAR = (  # sqrt(x) e**x K0(x), t = 4 / x - 1, for x >= 2
    9.815402008859526e-11, -1.7415792636713548e-10, -2.511583623750801e-10, 4.297822831935991e-10, 6.696909677353191e-10,
    -1.2154646925329214e-09, 2.3928247577454007e-10, -6.909445532095268e-10, 3.649704196745876e-09, -8.004851515961861e-09,
    1.713185600678902e-08, -4.106658027115221e-08, 1.0292557328065749e-07, -2.6897300718519323e-07, 7.427862249156294e-07,
    -2.191167925216506e-06, 7.002244891192467e-06, -2.4735205374482363e-05, 9.95605474680701e-05, -0.00047976905673534966,
    0.003032891810274143, -0.031071461824889863, 1.2185953385133905,
)  # fmt: skip
K1_FAR = (  # sqrt(x) e**x K1(x), t = 4 / x - 1, for x >= 2
    -1.0724391572705258e-10, 1.9076899650576552e-10, 2.7260400995214217e-10, -4.671582670762342e-10, -7.347807544194839e-10,
    1.3385849977465314e-09, -2.915889725458638e-10, 8.254002611298962e-10, -4.159564044495663e-09, 9.191838293612963e-09,
    -1.990916912542139e-08, 4.8165011477502914e-08, -1.2200063909110853e-07, 3.230534911986308e-07, -9.067153917791994e-07,
    2.7300306911646126e-06, -8.961206568008175e-06, 3.2843866443823695e-05, -0.0001395902196146278, 0.0007357241548745106,
    -0.005566729880073309, 0.1033497377538656, 1.363151890371342,
)  # fmt: skip
I0_NEAR = (  # I0(x), t = x**2 / 2 - 1
    7.760584616046307e-17, 1.5591722255307018e-14, 2.539685182415718e-12, 3.2732478435364746e-10, 3.236227369352817e-08,
    2.3575789878938216e-06, 0.00011982068581628347, 0.0039285651056368085, 0.07358986836105336, 0.6358617281560686,
    1.5660829297563506,
)  # fmt: skip
I1_NEAR = (  # I1(x) / x
    1.403255002995983e-13, 2.031922759155545e-11, 2.2912734906951697e-09, 1.9417364085156952e-07, 1.1787894939468833e-05,
    0.00047928274326549763, 0.011785695316910426, 0.14717973672210669, 0.6358617281560686,
)  # fmt: skip


def _bessels(T):
    f64 = np.float64
    zero, half, one, two, five, inf, nan = (f64(v) for v in (0, 0.5, 1, 2, 5, np.inf, np.nan))
    two_by_pi, root_half, across = f64(2 / np.pi), f64(np.sqrt(0.5)), f64(2 / 25)
    (a0, a0_lo), (b0, b0_lo), (a1, a1_lo), (b1, b1_lo) = (tuple(map(f64, z)) for z in (*ZEROS_0, *ZEROS_1))
    j0_near, j1_near, y0_near, y1_near = (polynomial(f64, *c) for c in (J0_NEAR, J1_NEAR, Y0_NEAR, Y1_NEAR))
    p0, q0, p1, q1 = (polynomial(f64, *c) for c in (P0, Q0, P1, Q1))
    k0_near, k0_far, k1_near, k1_far = (polynomial(f64, *c) for c in (K0_NEAR, K0_FAR, K1_NEAR, K1_FAR))
    i0_near, i1_near = polynomial(f64, *I0_NEAR), polynomial(f64, *I1_NEAR)
    wide = f64(50)

    @scalar(f64, helper=True)
    def near_0(a):
        return ((a - a0) - a0_lo) * (a + a0) * (((a - b0) - b0_lo) * (a + b0)) * j0_near(a * a * across - one)

    @scalar(f64, helper=True)
    def near_1(a):
        return a * (((a - a1) - a1_lo) * (a + a1)) * (((a - b1) - b1_lo) * (a + b1)) * j1_near(a * a * across - one)

    @scalar(T)
    def bessel_j0(x):
        """The Bessel function of the first kind of order 0, within 4 ulp up to 5; beyond, within 1e-15 of the size of its waves."""
        a = fabs(f64(x))
        t = wide / (a * a) - one
        s, c = sin_f64(a), cos_f64(a)
        far = sqrt(two_by_pi / a) * root_half * (p0(t) * (c + s) - five / a * q0(t) * (s - c))
        return T(where(a <= five, where(a == zero, one, near_0(a)), where(a == inf, zero, far)))

    @scalar(T)
    def bessel_j1(x):
        """The Bessel function of the first kind of order 1, as accurate as bessel_j0."""
        a = fabs(f64(x))
        t = wide / (a * a) - one
        s, c = sin_f64(a), cos_f64(a)
        far = sqrt(two_by_pi / a) * root_half * (p1(t) * (s - c) + five / a * q1(t) * (s + c))
        y = where(a <= five, near_1(a), where(a == inf, zero, far))
        return T(where(f64(x) < zero, -y, where(a == zero, f64(x), y)))

    @scalar(T)
    def bessel_y0(x):
        """The Bessel function of the second kind of order 0, within 1e-15 of the size of its waves; -inf at 0, NaN below."""
        a = f64(x)
        t = wide / (a * a) - one
        s, c = sin_f64(a), cos_f64(a)
        far = sqrt(two_by_pi / a) * root_half * (p0(t) * (s - c) + five / a * q0(t) * (s + c))
        near = two_by_pi * log_f64(a) * near_0(a) + y0_near(a * a * across - one)
        y = where(a <= five, near, where(a == inf, zero, far))
        return T(where(a == zero, -inf, where(a < zero, nan, y)))

    @scalar(T)
    def bessel_y1(x):
        """The Bessel function of the second kind of order 1, as accurate as bessel_y0."""
        a = f64(x)
        t = wide / (a * a) - one
        s, c = sin_f64(a), cos_f64(a)
        far = sqrt(two_by_pi / a) * root_half * (five / a * q1(t) * (s - c) - p1(t) * (s + c))
        near = two_by_pi * (log_f64(a) * near_1(a) - one / a) + a * y1_near(a * a * across - one)
        y = where(a <= five, near, where(a == inf, zero, far))
        return T(where(a == zero, -inf, where(a < zero, nan, y)))

    @scalar(f64, helper=True)
    def small_0(a):
        t = a * a * half - one
        return k0_near(t) - log_f64(a * half) * i0_near(t)

    @scalar(f64, helper=True)
    def small_1(a):
        t = a * a * half - one
        return one / a + a * (k1_near(t) + log_f64(a * half) * i1_near(t))

    @scalar(T)
    def k0(x):
        """The modified Bessel function of the second kind of order 0, within 6 ulp; inf at 0, NaN below."""
        a = f64(x)
        far = exp_f64(-a) / sqrt(a) * k0_far(two * two / a - one)
        return T(where(a == zero, inf, where(a < zero, nan, where(a <= two, small_0(a), where(a == inf, zero, far)))))

    @scalar(T)
    def k0e(x):
        """e**x k0(x), within 6 ulp."""
        a = f64(x)
        far = k0_far(two * two / a - one) / sqrt(a)
        return T(where(a == zero, inf, where(a < zero, nan, where(a <= two, exp_f64(a) * small_0(a), far))))

    @scalar(T)
    def k1(x):
        """The modified Bessel function of the second kind of order 1, within 6 ulp; inf at 0, NaN below."""
        a = f64(x)
        far = exp_f64(-a) / sqrt(a) * k1_far(two * two / a - one)
        return T(where(a == zero, inf, where(a < zero, nan, where(a <= two, small_1(a), where(a == inf, zero, far)))))

    @scalar(T)
    def k1e(x):
        """e**x k1(x), within 6 ulp."""
        a = f64(x)
        far = k1_far(two * two / a - one) / sqrt(a)
        return T(where(a == zero, inf, where(a < zero, nan, where(a <= two, exp_f64(a) * small_1(a), far))))

    return bessel_j0, bessel_j1, bessel_y0, bessel_y1, k0, k0e, k1, k1e


bessel_j0_f32, bessel_j1_f32, bessel_y0_f32, bessel_y1_f32, k0_f32, k0e_f32, k1_f32, k1e_f32 = _bessels(np.float32)
bessel_j0_f64, bessel_j1_f64, bessel_y0_f64, bessel_y1_f64, k0_f64, k0e_f64, k1_f64, k1e_f64 = _bessels(np.float64)
