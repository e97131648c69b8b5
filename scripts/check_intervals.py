"""Intervals of decimals of 60 digits with directed rounding, and what check_certificates.py and check_outputs.py derive by
them: tails of the binomial law, lower confidence bounds, the normal law and its quantiles.
"""
import decimal, functools, math, statistics
from decimal import Decimal as D
from fractions import Fraction

NEAREST, DOWN, UP = (decimal.Context(prec=60, rounding=rounding, Emin=-decimal.MAX_EMAX, Emax=decimal.MAX_EMAX)
                     for rounding in (decimal.ROUND_HALF_EVEN, decimal.ROUND_FLOOR, decimal.ROUND_CEILING))
decimal.setcontext(NEAREST)
SLACK = D('1e-35')  # kept between what Newton's method finds and what is proved

class Refused(Exception): pass

def need(condition, text):
    if not condition: raise Refused(text)

def is_count(value, limit=1 << 64): return type(value) is int and 0 <= value < limit

def number(fields, key):
    """The double that the text names, exactly."""
    need(type(fields[key]) in (int, D) and 0 <= fields[key] < D('1.7e308'), f'{key} must be a number from 0')
    return Fraction(float(fields[key]))

class Interval:
    """Certainly holds the true value. decimal's ln, exp and sqrt are within one unit of the last place."""
    def __init__(self, low, high=None):
        self.low, self.high = low, low if high is None else high
        if isinstance(low, (int, Fraction)):
            self.low, self.high = (c.divide(low.numerator, low.denominator) for c in (DOWN, UP))

    def combined(self, other, operation):
        ends = [(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(getattr(DOWN, operation)(a, b) for a, b in ends),
                        max(getattr(UP, operation)(a, b) for a, b in ends))
    __add__ = functools.partialmethod(combined, operation='add')
    __sub__ = functools.partialmethod(combined, operation='subtract')
    __mul__ = functools.partialmethod(combined, operation='multiply')
    __truediv__ = functools.partialmethod(combined, operation='divide')  # by what does not hold 0

    def rising(self, function):
        return Interval(function(self.low).next_minus(), function(self.high).next_plus())
    ln = functools.partialmethod(rising, D.ln)
    exp = functools.partialmethod(rising, D.exp)
    sqrt = functools.partialmethod(rising, D.sqrt)

TWO_PI = Interval(D('6.28318530717958647692528676655900576839433879875021164194988918461'),
                  D('6.28318530717958647692528676655900576839433879875021164194988918462'))
HALF = Interval(Fraction(1, 2))

@functools.cache
def bernoulli(m):
    return Fraction(m == 0) - Fraction(sum(math.comb(m + 1, j) * bernoulli(j) for j in range(m)), m + 1)

@functools.cache
def ln_factorial(n):
    if n < 100: return Interval(math.factorial(n)).ln()
    # Stirling's series, whose error is less than the first term left out.
    x = Interval(n)
    total = (x + HALF) * x.ln() - x + HALF * TWO_PI.ln()
    terms = [bernoulli(2 * j) / (2 * j * (2 * j - 1) * n**(2 * j - 1)) for j in range(1, 26)]
    left_out = abs(Interval(terms[-1]).high) + abs(Interval(terms[-1]).low)
    return total + Interval(sum(terms[:-1])) + Interval(-left_out, left_out)

def ln_powers(k, n, p): return Interval(k) * Interval(p).ln() + Interval(n - k) * (Interval(1) - Interval(p)).ln()

def tail(k, n, p):
    """ln P(X >= k) of X binomial(n, p), bounded from above, and P(X >= k) / P(X = k)."""
    odds = UP.divide(p, DOWN.subtract(1, p))
    total = term = D(1)
    for j in range(k, n):
        ratio = UP.divide(UP.multiply(odds, n - j), j + 1)  # of this and all further terms, at most
        if ratio < 1 and term < D('1e-55'):
            total = UP.add(total, UP.divide(UP.multiply(term, ratio), DOWN.subtract(1, ratio)))
            break
        term = UP.multiply(term, ratio)
        total = UP.add(total, term)
    ways = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
    return (ways + ln_powers(k, n, p) + Interval(total).ln()).high, total

@functools.cache
def ln_mixture(k, n):
    """ln of B(k + 1/2, n - k + 1/2) / B(1/2, 1/2): Gamma(j + 1/2) is (2j)! / (4^j j!) Gamma(1/2)."""
    halves = (ln_factorial(2 * j) - ln_factorial(j) for j in (k, n - k))
    return sum(halves, Interval(0)) - ln_factorial(n) - Interval(2 * n) * Interval(2).ln()

def surplus(k, n, p, goal, anytime):
    """By how much p is above a lower bound in ln P(X >= k), or in ln(1 / M_n(p)); and over the slope in the log-odds."""
    if anytime:
        above = (ln_powers(k, n, p) - ln_mixture(k, n) - goal).high
        return above, above / (k - n * p)
    log, total = tail(k, n, p)
    return log - goal.low, (log - goal.low) * total / (k * (1 - p))

@functools.cache
def lower_bound(k, n, failure, anytime):
    """A lower bound of the probability after k of n: Clopper-Pearson's, or the one of all n together."""
    if k == 0: return D(0)
    goal = Interval(failure).ln()
    if k == n: return ((goal + ln_mixture(n, n) if anytime else goal) / Interval(n)).exp().low
    p = D(k) / n / (2 if anytime else 1)
    for _ in range(200):  # both are concave in the log-odds, so that Newton's method soon stays below
        step = max(surplus(k, n, p, goal, anytime)[1], D(-2))
        odds = p / (1 - p) * (-step).exp()
        p = odds / (1 + odds)
        if abs(step) < SLACK: break
    p = DOWN.multiply(p, 1 - 8 * SLACK)
    need(surplus(k, n, p, goal, anytime)[0] <= 0, f'no lower bound of {k} of {n} at {float(failure)} could be proved')
    return p

def normal_cdf(z):
    """Phi(z) = 1/2 + phi(z) (z + z^3/3 + z^5/15 + ...), of positive terms for z > 0."""
    if z < 0: return Interval(1) - normal_cdf(-z)
    x = Interval(z)
    total, term, j = Interval(0), x, 1
    while term.high > D('1e-58') or 2 * z * z > j + 2:
        total, j = total + term, j + 2
        term = term * x * x / Interval(j)
    total = total + Interval(D(0), UP.multiply(2, term.high))  # each further term is at most half the last
    density = (Interval(0) - x * x * HALF).exp() / TWO_PI.sqrt()
    return HALF + density * total

@functools.cache
def normal_quantile(p):
    """An interval around Phi^-1(p)."""
    z = D(statistics.NormalDist().inv_cdf(min(max(float(p), 1e-300), 1 - 2**-53)))
    for _ in range(4):
        density = (-z * z / 2).exp() / TWO_PI.low.sqrt()
        z -= (normal_cdf(z).low - p) / density
    around = Interval(z - SLACK, z + SLACK)
    need(normal_cdf(around.low).high <= p <= normal_cdf(around.high).low, f'no normal quantile of {float(p)} could be proved')
    return around
