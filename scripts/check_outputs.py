"""What check_certificates.py holds against logs of regression networks (docs/regression.md): that every interval and
every radius follows from what was counted, for all predictions, certificates and bounds, in the same intervals of
decimals with directed rounding.
"""
import functools, math, re
from decimal import Decimal as D
from fractions import Fraction

from check_intervals import DOWN, UP, Interval, is_count, lower_bound, need, normal_cdf, normal_quantile, number

STEPS, UNIT = 64, Fraction(1, 1 << 32)
ONE, NONE, HALF = Interval(1), Interval(0), Interval(Fraction(1, 2))
KEYS = ('regression_log model_sha256 dataset dataset_sha256 split output low high mechanism noise_scale epsilon delta '
        'construction_bound attack_norm sensitivity prediction certificate bound alpha precision residual_precision '
        'algorithm seed draws radius move ledger').split()
KNOWN = {'regression_log': [2], 'output': ['sigmoid', 'truncated', 'unbounded'], 'mechanism': ['gaussian', 'laplace'],
         'attack_norm': ['1', '2', 'inf'], 'split': ['train', 'test'], 'prediction': ['mean', 'median'],
         'certificate': ['exact', 'pixeldp'], 'bound': ['hoeffding', 'empirical-bernstein', 'betting', 'clopper-pearson']}
CHARGES = ['variation', 'prefix_error']  # behind sensitivity, where there are any
RULE = ('prediction', 'certificate', 'bound', 'alpha')

def signed(value):
    """The double that a number of either sign names, exactly."""
    need(type(value) in (int, D) and abs(value) < D('1.7e308'), 'a number is out of range')
    return Fraction(float(value))

def check_header(h):
    """Returns what the ledger says of the log's rule."""
    behind = KEYS.index('sensitivity') + 1
    need(list(h) == KEYS[:behind] + [key for key in CHARGES if key in h] + KEYS[behind:], f'the keys are {list(h)}')
    need('variation' not in h or 0 < number(h, 'variation') < 1, 'variation must lie between 0 and 1')
    need('prefix_error' not in h or number(h, 'prefix_error') > 0, 'prefix_error must be above 0')
    for key, values in KNOWN.items():
        need(h[key] in values and type(h[key]) is not bool, f'{key} {h[key]} is not checked here, but {", ".join(map(str, values))}')
    low, high = signed(h['low']), signed(h['high'])
    need(all(re.fullmatch('[0-9a-f]{64}', h[key]) for key in ('model_sha256', 'dataset_sha256')), 'no SHA-256')
    need(low < high and max(abs(low), abs(high)) <= 10**6, 'the range of the output is none')
    need(number(h, 'noise_scale') > 0 and number(h, 'sensitivity') > 0, 'noise without scale or sensitivity')
    need(is_count(h['draws'], 1 << 32) and h['draws'] > 0 and is_count(h['seed']), 'draws or seed are out of range')
    need(all(h[key] is None or number(h, key) > 0 for key in ('radius', 'move')), 'radius or move is out of range')
    need(isinstance(h['ledger'], list) and h['ledger'], 'the ledger reserves nothing')
    for rule in [h, *h['ledger']]:
        need(rule is h or tuple(rule) == RULE, 'a look is malformed')
        need(0 < number(rule, 'alpha') < 1, 'alpha must lie between 0 and 1')
        median = rule['prediction'] == 'median'
        need(median == (rule['bound'] == 'clopper-pearson') and not (median and rule['certificate'] != 'exact'), 'there is no such certificate')
        need(median or h['output'] != 'unbounded', 'the mean of an unbounded output has no certificate')
        need(rule['certificate'] == 'exact' or low <= 0 <= high, "the lemma's range must contain 0")
    looks = [tuple(look[key] for key in RULE) for look in h['ledger']]
    need(len(set(looks)) == len(looks) and sum(number(look, 'alpha') for look in h['ledger']) < 1, 'the ledger spends more than there is')
    return 'reserved' if tuple(h[key] for key in RULE) in looks else 'exploration'

def variation(h):
    """How far the law that was drawn from may be from the theorem's, at the image and at the attack."""
    return Interval(number(h, 'variation') if 'variation' in h else 0).high

def largest(values): return max(values, key=lambda v: v.high)

# ---- Bounds of means in [0, 1], each side at `failure`

def log_fortune(m, centre, spread, n, stakes):
    """A lower bound of ln W(m), as kernels/formulas/betting.hpp derives it."""
    rise = (Interval(centre) - Interval(m)) / Interval(m)
    fortunes = []
    for stake in stakes:
        l = Interval(stake)
        at_zero, at_centre = (ONE - l).ln(), (ONE + l * rise).ln()
        bend = at_zero - at_centre + l * (ONE + rise) / (ONE + l * rise)
        fortunes.append(Interval(n) * (at_centre + bend * Interval(spread) / (Interval(centre) * Interval(centre))))
    most = Interval(max(f.high for f in fortunes))
    return (sum(((f - most).exp() for f in fortunes), NONE) / Interval(len(fortunes))).ln() + most

def betting_lower(centre, spread, n, failure):
    if centre <= 0: return D(0)
    goal = -math.log(failure)
    stakes = [Fraction(min(.75, math.sqrt(2 * goal / n) / guess)) for guess in (.06, .15, .35, .8)]
    enough = -Interval(failure).ln().low
    centre, spread = DOWN.divide(centre.numerator, centre.denominator), UP.divide(spread.numerator, spread.denominator)
    low, high = D(0), centre
    for _ in range(60):
        middle = (low + high) / 2
        if log_fortune(middle, centre, spread, n, stakes).low >= enough: low = middle
        else: high = middle
    return low

def mean_bounds(bound, low, high, variance, n, failure):
    """Of a mean within [low, high] but for the draws; variance is the unbiased one, at most."""
    if bound == 'betting':
        if n < 2: return NONE, ONE
        spread = variance * (n - 1) / n + (high - low)**2
        return Interval(betting_lower(low, spread, n, failure)), ONE - Interval(betting_lower(1 - high, spread, n, failure))
    if bound == 'hoeffding': half = ((NONE - Interval(failure).ln()) / Interval(2 * n)).sqrt()
    elif n < 2: half = ONE
    else:
        log = (Interval(2) / Interval(failure)).ln()
        half = (Interval(2 * variance / n) * log).sqrt() + Interval(Fraction(7, 3 * (n - 1))) * log
    return Interval(max(D(0), (Interval(low) - half).low)), Interval(min(D(1), (Interval(high) + half).high))

# ---- What an attack makes of probabilities: bounds at the ends of the steps

@functools.cache
def most(noise, p, size):
    """What an attack of a size makes of a probability p at most."""
    if p <= 0 or p >= 1: return Interval(min(max(p, D(0)), D(1)))
    if noise == 'gaussian':
        z = normal_quantile(p) + Interval(size)
        return Interval(normal_cdf(z.low).low, normal_cdf(z.high).high)
    up = Interval(size).exp()
    if 2 * p > 1: return ONE - (ONE - Interval(p)) / up
    risen = up * Interval(p)
    return ONE - ONE / (Interval(4) * risen) if risen.low > HALF.high else risen

def least(noise, p, size): return ONE - most(noise, UP.subtract(1, p), size)

@functools.cache
def peak(noise, size):
    """Where most(p) - p is largest, and how large."""
    half = Interval(size) * HALF
    if noise == 'laplace':
        e = (NONE - half).exp()
        return HALF * e, ONE - e
    at = Interval(normal_cdf(-half.high).low, normal_cdf(-half.low).high)
    return at, ONE - at - at

def rise(noise, low, high, size):
    """The most that a probability within [low, high] rises."""
    at, height = peak(noise, size)
    if at.high < low: return most(noise, low, size) - Interval(low)
    return most(noise, high, size) - Interval(high) if at.low > high else height

class Tails:
    """Bounds of P(u >= t) at the ends of the steps, within a variation of the law that was drawn from."""
    def __init__(self, counts, n, failure, variation):
        each, left, self.low, self.high = failure / (2 * STEPS), n, [], []
        for count in counts[:STEPS]:
            left -= count
            self.low.append(max(D(0), DOWN.subtract(lower_bound(left, n, each, False), variation)))
            self.high.append(min(D(1), UP.add(UP.subtract(1, lower_bound(n - left, n, each, False)), variation)))

    def moves(self, noise, size):
        """How far the mean of u rises and falls."""
        before = [D(1), *self.high[:-1]]
        up = sum((rise(noise, low, high, size) for low, high in zip(self.low, before)), NONE)
        down = sum((rise(noise, DOWN.subtract(1, high), UP.subtract(1, low), size) for low, high in zip(self.low, before)), NONE)
        return up / Interval(STEPS), down / Interval(STEPS)

# ---- The certificates: interval(size) and move(size), in the unit of the labels

class ExactMean:
    def __init__(self, h, r):
        self.noise, n, alpha = h['mechanism'], h['draws'], number(h, 'alpha')
        self.a, b = signed(h['low']), signed(h['high'])
        self.width, reach = b - self.a, max(b, 0) + max(-self.a, 0)
        mean, square = (sum(Fraction(r[key][i]) * UNIT / n * end**(i + 1) for key, end in (('positive', max(b, 0)), ('negative', min(self.a, 0))))
                        for i in (0, 1))
        off = UNIT / 2 * reach / self.width  # each score was rounded
        variance = (max(0, square - mean**2) + 4 * reach**2 * UNIT / 2) / self.width**2 * n / max(n - 1, 1)
        place = (mean - self.a) / self.width
        self.mean = mean_bounds(h['bound'], max(0, place - off), min(1, place + off), variance, n, alpha / 8)
        self.variation = Interval(variation(h))
        self.tails = Tails(r['counts'], n, alpha * 3 / 4, self.variation.high)

    def at(self, u): return Interval(self.a) + Interval(self.width) * u

    def interval(self, size):
        up, down = self.tails.moves(self.noise, size)
        low = sum((least(self.noise, p, size) for p in self.tails.low), NONE) / Interval(STEPS)
        high = (ONE + sum((most(self.noise, p, size) for p in self.tails.high[:-1]), NONE)) / Interval(STEPS)
        v = self.variation
        low, high = max((low - v).low, (self.mean[0] - down - v - v).low), min((high + v).high, (self.mean[1] + up + v + v).high)
        return self.at(Interval(low)).low, self.at(Interval(high)).high

    def move(self, size):
        return (Interval(self.width) * (largest(self.tails.moves(self.noise, size)) + self.variation + self.variation)).high

class Median:
    def __init__(self, h, r):
        self.noise, self.a, self.width = h['mechanism'], signed(h['low']), signed(h['high']) - signed(h['low'])
        self.bounded = h['output'] != 'unbounded'
        self.variation = variation(h)
        self.tails = Tails(r['counts'], h['draws'], number(h, 'alpha'), self.variation)

    def interval(self, size):
        ends = [Interval(self.a + self.width * (i + 1) / STEPS) for i in range(STEPS)]
        low, high = (Interval(self.a).low, Interval(self.a + self.width).high) if self.bounded else (None, None)
        most_below, least_above = UP.add(HALF.high, self.variation), DOWN.subtract(HALF.low, self.variation)
        below = [end.low for end, p in zip(ends, self.tails.low) if least(self.noise, p, size).low > most_below]
        above = [end.high for end, p in zip(ends, self.tails.high) if most(self.noise, p, size).high < least_above]
        return below[-1] if below else low, above[0] if above else high

    def move(self, size):
        (now_low, now_high), (low, high) = self.interval(Fraction(0)), self.interval(size)
        if None in (low, high): return D('inf')
        return max(UP.subtract(high, now_low), UP.subtract(now_high, low))

class Lemma:
    def __init__(self, h, r):
        self.noise, self.range = h['mechanism'], (signed(h['low']), signed(h['high']))
        alpha, ends = number(h, 'alpha'), {'positive': max(self.range[1], 0), 'negative': max(-self.range[0], 0)}
        parts = sum(end > 0 for end in ends.values())
        self.off = Interval(variation(h)) * Interval(self.range[1] - self.range[0])
        self.positive, self.negative = (self.part(h, r[key], end, alpha / (2 * parts)) for key, end in ends.items())

    @staticmethod
    def part(h, sums, end, failure):
        if end == 0: return NONE, NONE
        n = h['draws']
        mean, square = (Fraction(s) * UNIT / n for s in sums)
        slack = UNIT / 2 * (1 + 2 * mean) + square / (1 << 23)  # what was rounded, squares in single precision
        variance = (max(0, square - mean**2) + slack) * n / max(n - 1, 1)
        low, high = mean_bounds(h['bound'], max(0, mean - UNIT / 2), min(1, mean + UNIT / 2), variance, n, failure)
        v = Interval(variation(h))
        return Interval(max(D(0), (low - v).low)) * Interval(end), (high + v) * Interval(end)

    def best(self, size, value):
        """The least that value(epsilon, delta) is, from above: any epsilon up to 1 proves."""
        if size == 0: return value(NONE, NONE).high
        if self.noise == 'laplace': return value(Interval(size), NONE).high
        def at(epsilon):
            e = Interval(Fraction(epsilon))
            ratio = e / Interval(size)
            delta = Interval(Fraction(5, 4)) * (NONE - ratio * ratio * HALF).exp()
            return value(e, delta if delta.high < 1 else ONE).high
        least = math.log(size) + .5 * math.log(2 * math.log(1.25))  # below, delta is above 1
        if least >= 0: return at(1.0)
        points, apart = [least * i / 32 for i in range(33)], -least / 32
        values = [at(math.exp(p)) for p in points]
        lowest = min(values)
        chosen = points[values.index(lowest)]
        low, high = chosen - apart, min(0.0, chosen + apart)
        for _ in range(40):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            at_left, at_right = at(math.exp(left)), at(math.exp(right))
            lowest = min(lowest, at_left, at_right)
            if at_left < at_right: high = right
            else: low = left
        return lowest

    def side(self, sign, moves):
        """What the mean, or its move, is at most upwards (1); its negative, or its move, downwards (-1)."""
        (grows, shrinks), end = ((self.positive, self.negative), self.range[1]) if sign > 0 else ((self.negative, self.positive), -self.range[0])
        other = (self.range[1] - self.range[0]) - end
        def value(epsilon, delta):
            up, down = epsilon.exp(), (NONE - epsilon).exp()
            slack = delta * (Interval(end) + down * Interval(other))
            if moves: return (up - ONE) * grows[1] + (ONE - down) * shrinks[1] + slack
            return up * grows[1] - down * shrinks[0] + slack
        return value

    def interval(self, size):
        down, up = (UP.add(self.best(size, self.side(sign, False)), self.off.high) for sign in (-1, 1))
        return -down, up

    def move(self, size):
        return (Interval(max(self.best(size, self.side(sign, True)) for sign in (1, -1))) + self.off + self.off).high

def certificate(h, r):
    if h['prediction'] == 'median': return Median(h, r)
    return ExactMean(h, r) if h['certificate'] == 'exact' else Lemma(h, r)

def prediction(h, r):
    low, high = signed(h['low']), signed(h['high'])
    if h['prediction'] == 'mean':
        return sum(Fraction(r[key][0]) * UNIT / h['draws'] * end for key, end in (('positive', max(high, 0)), ('negative', min(low, 0))))
    below = step = 0
    while 2 * (below := below + r['counts'][step]) < h['draws']: step += 1
    return low + (high - low) * min(1, Fraction(2 * step + 1, 2 * STEPS))

def check_line(h, r):
    asked = ['interval'] * (h['radius'] is not None) + ['radius'] * (h['move'] is not None)
    need(list(r) == ['image', 'label', 'prediction', 'draws', 'positive', 'negative', 'counts', *asked, 'chain'], f'the keys are {list(r)}')
    n, low, high = h['draws'], signed(h['low']), signed(h['high'])
    need(is_count(r['image']) and r['draws'] == n and is_count(n), 'image or draws are not as the header says')
    need(low <= signed(r['label']) <= high or h['output'] == 'unbounded', 'the label is out of range')
    for key, end in (('positive', high), ('negative', -low)):
        need(isinstance(r[key], list) and len(r[key]) == 2 and all(map(is_count, r[key])), f'{key} is malformed')
        need(r[key][0] <= n << 32 and r[key][1] <= r[key][0] + n and (end > 0 or r[key][0] == 0), f'no draws have these sums ({key})')
    need(isinstance(r['counts'], list) and len(r['counts']) == STEPS + 1 and all(map(is_count, r['counts'])), 'the counts are malformed')
    need(sum(r['counts']) == n, 'the counts do not add up to the draws')
    right = prediction(h, r)
    need(abs(signed(r['prediction']) - right) <= Fraction(1, 10**9) * (1 + abs(right)), f'the prediction is not {float(right)}')
    if not asked: return
    proves, scale = certificate(h, r), number(h, 'noise_scale') / number(h, 'sensitivity')
    rounding = 2 * number(h, 'prefix_error') / number(h, 'noise_scale') if 'prefix_error' in h else 0  # at the image and at the attack
    bounded = h['output'] != 'unbounded'
    if h['radius'] is not None:
        need(isinstance(r['interval'], list) and len(r['interval']) == 2, 'the interval is malformed')
        need(not bounded or None not in r['interval'], 'the ends of the interval are missing')
        proved = proves.interval(number(h, 'radius') / scale + rounding)
        for claimed, end, limit, sign in zip(r['interval'], proved, (low, high), (1, -1)):
            if claimed is None or bounded and signed(claimed) == limit: continue
            need(end is not None and sign * signed(claimed) <= sign * Fraction(end),
                 f'the interval is {r["interval"]}, but the draws prove only {[end if end is None else float(end) for end in proved]}')
    if h['move'] is not None:
        radius = number(r, 'radius')
        need(radius == 0 or Fraction(move := proves.move(radius / scale + rounding)) <= number(h, 'move'),
             f'within the radius {r["radius"]} the draws prove moves up to {float(move) if radius else 0} only')

def text(h): return f'intervals and radii follow from their draws ({h["prediction"]}, {h["certificate"]}, {h["bound"]}'
