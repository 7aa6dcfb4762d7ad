"""Functions of the gamma family for kernels: lgamma digamma trigamma, each as `name_f32` and `name_f64`; all compute in float64.

With a = |x|, z = 1 / a**2 and P, Q, ... polynomials:

    1 <= a < 3      lgamma(a) = (a - 1) (a - 2) P(a - 2), so that nothing cancels at the zeros; digamma has its zero divided out alike
    a < 1           from a + 1, by lgamma(a) = lgamma(a + 1) - log a
    a >= 3          Stirling's series, with Q(z) in the place of its divergent tail
    x < 0           by the reflection formulas, lgamma(-a) = log(pi / (a sin(pi a))) - lgamma(a)

The polynomials interpolate at the Chebyshev nodes of the interval, computed with 50 digits.
"""

import numpy as np

from numtape.kernels._vec_llvm import copysign, fabs, polynomial, rint, scalar, where
from numtape.kernels._vec_log import log_f64

LGAMMA_NEAR = {  # lgamma(2 + t) / (t (t + 1)) on |t| <= 1
    np.float32: (
        -5.926157343507844e-07, 1.2415438637566427e-06, 5.9543650952692606e-08, -9.731305344529479e-08, -4.860794513399682e-06,
        1.0337765749640927e-05, -1.7030840318036683e-05, 3.685229019378649e-05, -8.332117815552447e-05, 0.00018302436986256305,
        -0.0004056624502292254, 0.0009152831322329448, -0.0021081352730488545, 0.004998650427171173, -0.012384192025692813,
        0.03296500027129177, -0.10031730167539045, 0.42278433510062985,
    ),
    np.float64: (
        -7.639292345836201e-10, 1.5746606982777302e-09, 2.0986002157033107e-09, -4.312495770350818e-09, -7.842557720538356e-09,
        1.6194359237484174e-08, -2.7296358592514825e-09, 5.910565853507869e-09, -4.9827532071170234e-08, 1.042041826608264e-07,
        -1.878442644643758e-07, 3.958940459367468e-07, -8.54560908975883e-07, 1.8113906873056685e-06, -3.846858091533014e-06,
        8.221234475942905e-06, -1.7661767658452517e-05, 3.816907658276081e-05, -8.309511477709561e-05, 0.0001825526153982638,
        -0.0004057073983775151, 0.0009153769240386907, -0.0021081308339216706, 0.004998641164627129, -0.012384192193371805,
        0.03296500062115691, -0.10031730167435392, 0.42278433509846713,
    ),
}  # fmt: skip
LGAMMA_FAR = {  # x (lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2), z = 1 / x**2, on x >= 3
    np.float32: (
        -0.0008228200612568517, 0.0007344743117052241, -0.0005897124887243115, 0.0007935148822728759, -0.0027777765182039507,
        0.08333333333139985,
    ),
    np.float64: (
        0.26180852870866445, -0.2070933006751568, 0.0813307211132798, -0.023023388614372777, 0.006092364447572614,
        -0.0019068288114279443, 0.0008415163778136668, -0.0005952350113118343, 0.0007936507724234067, -0.0027777777777198706,
        0.0833333333333333,
    ),
}  # fmt: skip
DIGAMMA_NEAR = {  # digamma(2 + t) / (2 + t - ROOT) on |t| <= 1
    np.float32: (
        4.8728452561710075e-06, -9.746299961159662e-06, -3.6515837592136844e-06, 7.3005566943768025e-06, 3.16987829424405e-05,
        -6.342709258092244e-05, 7.631144694362062e-05, -0.00015288648366910818, 0.000339484396858838, -0.0006814162379157613,
        0.0013574192320883868, -0.0027381270709286604, 0.005552346090332958, -0.011338616387030796, 0.023447304322302145,
        -0.04955102236685401, 0.10899991710591732, -0.2607389548595841, 0.7853075386041053,
    ),
    np.float64: (
        9.518171739147029e-09, -1.903635721105846e-08, -3.093398948520762e-08, 6.186795491568026e-08, 1.0053608396456935e-07,
        -2.0107270819670245e-07, -2.9145119207885333e-08, 5.8285994586065274e-08, 4.290253291489252e-07, -8.580896982578119e-07,
        1.238910144497479e-06, -2.4781719030311023e-06, 5.253172898961469e-06, -1.0509526063726006e-05, 2.089802780670172e-05,
        -4.182492865527941e-05, 8.377787676220672e-05, -0.00016781978030629567, 0.0003364327195465597, -0.0006753127085218515,
        0.0013581421476875015, -0.0027395729429329422, 0.005552254174526186, -0.011338432550277753, 0.02344730959760139,
        -0.049551032917745826, 0.10899991701762815, -0.26073895468300085, 0.7853075386041053,
    ),
}  # fmt: skip
DIGAMMA_FAR = {  # (log x - 1 / (2 x) - digamma(x)) / z on x >= 3
    np.float32: (
        -0.007940507548943099, 0.006330336628113846, -0.0041035411368966525, 0.003966713857236176, -0.008333319115245295,
        0.08333333331152479,
    ),
    np.float64: (
        -21.29861333701341, 17.261883761190983, -6.706334097588544, 1.7458633558768843, -0.37430045081725144, 0.08064047398067098,
        -0.02101916489697652, 0.00757443060881869, -0.004166652178650307, 0.003968253884920039, -0.008333333333142599,
        0.08333333333333326,
    ),
}  # fmt: skip
TRIGAMMA_NEAR = {  # trigamma(2 + t) on |t| <= 1
    np.float32: (
        -1.3921645337214738e-05, 2.674769210255948e-05, 2.5264512167036928e-05, -4.888393495176302e-05, -8.737467280299926e-05,
        0.00016702260472081725, -7.453910520564362e-05, 0.00013743204224858662, -0.0004550380852264776, 0.0008478634863363944,
        -0.0014630286932529682, 0.002688587335184925, -0.004943977452087017, 0.008955206015560525, -0.0160668768893699,
        0.028540981359111418, -0.050095681504733085, 0.08671534309202994, -0.14771102014072793, 0.24696970029949095,
        -0.40411380632097876, 0.6449340668516762,
    ),
    np.float64: (
        -3.95574111028862e-08, 7.69737294449264e-08, 1.6679400273371708e-07, -3.2502357218129625e-07, -5.14246648736683e-07,
        1.00065936191963e-06, 5.46465645034229e-07, -1.0693762313744417e-06, -1.5241547678813245e-06, 2.9468326565001964e-06,
        -1.9945874003301404e-06, 3.7834293715583023e-06, -9.892108116555152e-06, 1.881393781962445e-05, -3.420310592094262e-05,
        6.461199754420987e-05, -0.00012223800753716218, 0.00022931737606686524, -0.00042822629997992277, 0.0007962082025180957,
        -0.0014725614743570303, 0.0027069546262119505, -0.004941885917810257, 0.008951175909934037, -0.016067142615700733,
        0.028541493399334632, -0.05009566429132635, 0.08671530992183529, -0.14771102057348218, 0.24696970113341943, -0.4041138063191886,
        0.6449340668482264,
    ),
}  # fmt: skip
TRIGAMMA_FAR = {  # (trigamma(x) - 1 / x - z / 2) x / z on x >= 3
    np.float32: (
        -0.08311092095301627, 0.06023131283915643, -0.03255971270458313, 0.023790811589677042, -0.03333316129245041, 0.16666666640299396,
    ),
    np.float64: (
        2215.60182698085, -1862.8228642609376, 737.1452968666961, -187.7783922672314, 36.45762991653208, -6.294462335345315,
        1.1410199101729828, -0.25253066621004117, 0.07574876782139701, -0.03333325213575144, 0.02380952341320001, -0.03333333333256124,
        0.1666666666666664,
    ),
}  # fmt: skip
SINPI_TAIL = {  # (sin(pi r) / r - pi) / z, z = r**2, on |r| <= 1/2
    np.float32: (
        0.0004501428310190106, -0.007365910978467354, 0.08214530220489055, -0.5992644951246187, 2.55016403914505, -5.167712780047427,
    ),
    np.float64: (
        7.725743030789876e-07, -2.1906201655131958e-05, 0.00046630087411496363, -0.007370430719634586, 0.08214588659675232,
        -0.599264529320343, 2.55016403987734, -5.16771278004997,
    ),
}  # fmt: skip
ROOT = (1.4616321449683622, 9.549995429965697e-17)  # the zero of digamma, as a sum


def _gammas(T):
    f64 = np.float64
    zero, half, one, two, three = f64(0), f64(0.5), f64(1), f64(2), f64(3)
    pi, inf, nan = f64(np.pi), f64(np.inf), f64(np.nan)
    tiny = f64(1e-100)
    constant = f64(0.41893853320467274)  # (log(2 pi) - 1) / 2
    root, root_lo = map(f64, ROOT)
    lgamma_near, lgamma_far = polynomial(f64, *LGAMMA_NEAR[T], halves=T is np.float32), polynomial(f64, *LGAMMA_FAR[T])
    digamma_near, digamma_far = polynomial(f64, *DIGAMMA_NEAR[T], halves=T is np.float32), polynomial(f64, *DIGAMMA_FAR[T])
    trigamma_near, trigamma_far = polynomial(f64, *TRIGAMMA_NEAR[T], halves=T is np.float32), polynomial(f64, *TRIGAMMA_FAR[T])
    sinpi_tail = polynomial(f64, *SINPI_TAIL[T])

    @scalar(f64, helper=True)
    def sinpi(r):
        """sin(pi r) of |r| <= 1/2."""
        z = r * r
        return r * (pi + z * sinpi_tail(z))

    @scalar(T)
    def far_lgamma(x):
        """Whether x is negative, so that `near_lgamma` is not for it."""
        return x < T(0)

    @scalar(f64, helper=True)
    def lgamma_of(a):
        """log a and log gamma(a) of a >= 0."""
        small = a < one
        t = where(small, a - one, a - two)
        near = where(small, a, a - one) * t * lgamma_near(t)
        log_a = log_f64(a)
        far = (a - half) * (log_a - one) + (constant + lgamma_far(one / (a * a)) / a)
        y = where(a < three, where(small, near - log_a, near), far)
        return log_a, where(a == inf, inf, y)

    @scalar(T)
    def near_lgamma(x):
        """lgamma of what is not negative."""
        return T(lgamma_of(f64(x))[1])

    @scalar(T)
    def lgamma(x):
        """log |gamma(x)|, within 4 ulp of positive x; of negative x within 1e-15 of the size of the terms, for it has zeros there."""
        x64 = f64(x)
        a = fabs(x64)
        log_a, y = lgamma_of(a)
        reflected = log_f64(pi / (a * sinpi(fabs(a - rint(a))))) - y
        y = where(x64 < zero, where(a < tiny, -log_a, reflected), y)
        return T(where(a == inf, inf, y))

    @scalar(T)
    def digamma(x):
        """The derivative of lgamma, within 4 ulp of positive x; of negative x as lgamma; NaN at negative integers, -inf at 0."""
        x64 = f64(x)
        a = fabs(x64)
        small = a < one
        t = where(small, a - one, a - two)
        near = ((a - where(small, root - one, root)) - root_lo) * digamma_near(t)
        z = one / (a * a)
        y = where(a < three, near, log_f64(a) - half / a - z * digamma_far(z))  # of a + 1, if a is small
        r = a - rint(a)
        cot = sinpi(half - fabs(r)) / sinpi(r)
        left = where(r == zero, nan, y + where(small, zero, one / a) + pi * cot)
        y = where(x64 < zero, left, where(small, y - one / a, y))
        return T(where(x64 == zero, copysign(inf, -x64), y))

    @scalar(T)
    def trigamma(x):
        """The derivative of digamma, within 4 ulp; inf at 0 and at negative integers."""
        x64 = f64(x)
        a = fabs(x64)
        small = a < one
        z = one / (a * a)
        y = where(a < three, trigamma_near(where(small, a - one, a - two)), one / a + z * (half + trigamma_far(z) / a))
        s = pi / sinpi(a - rint(a))
        return T(where(x64 < zero, s * s - y + where(small, zero, z), where(small, y + z, y)))

    return lgamma, near_lgamma, far_lgamma, digamma, trigamma


lgamma_f32, near_lgamma_f32, far_lgamma_f32, digamma_f32, trigamma_f32 = _gammas(np.float32)
lgamma_f64, near_lgamma_f64, far_lgamma_f64, digamma_f64, trigamma_f64 = _gammas(np.float64)
