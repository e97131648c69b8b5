#!/usr/bin/env python3
"""Checks certificate logs: that every radius follows from its votes, without any code of the engine.

    scripts/check_certificates.py LOG...

Reads formats 1 and 2 (docs/certificate_log.md). Refuses a log whose lines contradict the header, each
other or the chain, and any radius larger than the votes prove. Everything is computed in intervals of
decimals of 60 digits with directed rounding, so that what is accepted is true. Checked are the
certificates exact and pixeldp of votes under clopper-pearson, pairwise, one-sided and anytime bounds, and logs of
regression networks (check_outputs.py); others are refused by name. Exit status 0: all is well, 1: something is wrong, 2: wrong usage.
"""
import decimal, functools, hashlib, json, math, re, statistics, sys
from decimal import Decimal as D
from fractions import Fraction

NEAREST, DOWN, UP = (decimal.Context(prec=60, rounding=rounding, Emin=-decimal.MAX_EMAX, Emax=decimal.MAX_EMAX)
                     for rounding in (decimal.ROUND_HALF_EVEN, decimal.ROUND_FLOOR, decimal.ROUND_CEILING))
decimal.setcontext(NEAREST)
SLACK = D('1e-35')  # kept between what Newton's method finds and what is proved

class Refused(Exception): pass

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

def gaussian_size(epsilon, lower, upper):
    """epsilon / sqrt(2 ln(1.25 / delta)) at the largest delta of the condition of Lecuyer et al. 2019."""
    e = Interval(epsilon).exp()
    delta = (Interval(lower) - e * e * Interval(upper)) / (Interval(1) + e)
    if delta.low <= 0: return D(0)
    return (Interval(epsilon) / (Interval(2) * (Interval(D('1.25')) / delta).ln()).sqrt()).low

def largest_gaussian_size(lower, upper):
    low, high = D(0), min(D(1), (lower / upper).ln() / 2)
    for _ in range(14):  # closing in on the best of 16 points; any epsilon is sound
        step = (high - low) / 16
        size, best = max((gaussian_size(low + i * step, lower, upper), low + i * step) for i in range(1, 17))
        low, high = max(low, best - step), min(high, best + step)
    return size

def attack_size(certificate, mechanism, lower, upper):
    """The largest attack, in units of noise scale / sensitivity, bounded from below."""
    if lower <= upper: return D(0)
    upper = max(upper, D('1e-300'))
    a, b = Interval(lower), Interval(upper)
    if mechanism == 'gaussian':
        if certificate == 'pixeldp': return largest_gaussian_size(lower, upper)
        return ((normal_quantile(lower) - normal_quantile(upper)) * HALF).low
    if certificate == 'exact' and 2 * lower >= 1:  # and upper at most 1/2
        a = Interval(Fraction(1, 4)) / (Interval(1) - a)
    return ((a / b).ln() * HALF).low

def density(x): return (Interval(0) - x * x * HALF).exp() / TWO_PI.sqrt()

def deduction(mechanism, certificate, v, lower, upper, size):
    """What a total variation v takes off the size besides v at either bound (pixeldp/variation.hpp), bounded from above."""
    v = Interval(v)
    if mechanism == 'gaussian':
        z = (normal_quantile(lower) + normal_quantile(upper)) * HALF
        c = max(abs(z.low), abs(z.high))
        enough = (v / density(Interval(c + 1))).high
        return enough if enough > 1 else (v / density(Interval(c) + Interval(enough))).high
    a, b, e = Interval(lower), Interval(upper), Interval(size).exp()
    if certificate == 'pixeldp': return (v / (a * b).sqrt()).high
    above = Interval(1) - e * (Interval(1) - a)
    met = (a / e).low if 2 * lower <= 1 else above.low if 2 * above.low > 1 else (Interval(1) / (e * (Interval(1) - a) * Interval(4))).low
    met = min(met, 1 - met)
    t = (v / Interval(met)).high
    return t if t <= 1 and 2 * met * t.exp(UP) <= 1 else 4 * t

def size_under(v, certificate, mechanism, lower, upper):
    """attack_size where the law drawn from is within v of the theorem's."""
    if v == 0: return attack_size(certificate, mechanism, lower, upper)
    v = Interval(v).high
    lower, upper = DOWN.subtract(lower, v), UP.add(upper, v)
    if lower <= upper: return D(0)
    if mechanism == 'gaussian' and certificate == 'pixeldp':
        return attack_size(certificate, mechanism, DOWN.subtract(lower, UP.multiply(v, D('5.43656365691810'))), upper)
    size = attack_size(certificate, mechanism, lower, upper)
    less = deduction(mechanism, certificate, v, lower, upper, size)
    return D(0) if less > 1 else max(D(0), DOWN.subtract(size, less))

def shares(bound, alpha, classes, selected):
    """Failure probabilities: of the lower bound, of each upper one, of a side of the pairwise test."""
    if bound == 'clopper-pearson' or bound == 'anytime' and not selected:
        events = (1 if selected else 2) if classes == 2 else (2 if selected else 2 * classes)
        return alpha / events, alpha / events, None
    if bound == 'one-sided': return alpha, None, None
    if selected: return (alpha, alpha, None) if classes == 2 else (alpha * 8 / 10, alpha * 2 / 10, None)
    lower, upper = (9, 9) if classes == 2 else (6, 3)
    return alpha * lower / 10, alpha * upper / 10, alpha / 20

@functools.cache
def proved_size(certificate, mechanism, bound, alpha, classes, selected, votes, beside, draws, variation):
    lower_share, upper_share, test = shares(bound, alpha, classes, selected)
    if test is not None and (votes <= beside or tail(votes, votes + beside, D('0.5'))[0] > Interval(test).ln().low): return D(0)
    lower = lower_bound(votes, draws, lower_share, bound == 'anytime')
    upper = UP.subtract(1, lower)
    if upper_share is not None: upper = min(upper, UP.subtract(1, lower_bound(draws - beside, draws, upper_share, bound == 'anytime')))
    return size_under(variation, certificate, mechanism, lower, upper)

HEADER = set('format_version model_sha256 dataset dataset_sha256 split mechanism noise_scale epsilon delta construction_bound '
             'attack_norm sensitivity score_type bound certificate alpha seed draws selection_draws'.split())
FUNCTION = set('noise_at_certification precision residual_precision algorithm'.split())  # not in the oldest logs
FORMAT_2, STOPPED = (set(keys.split()) for keys in ('source statistics stopping ledger selected_by',
                                                    'target futility looks stopping_certificate stopping_alpha'))
KNOWN = {'mechanism': ['gaussian', 'laplace', 'none'], 'score_type': ['argmax'], 'stopping': ['fixed', 'radius', 'tolerance'],
         'certificate': ['exact', 'pixeldp'], 'bound': ['clopper-pearson', 'pairwise', 'one-sided', 'anytime'],
         'stopping_certificate': ['exact', 'pixeldp', 'pixeldp-grid'],
         'source': ['draws', 'format-1', 'eval-data', 'smoothing-log'], 'attack_norm': ['1', '2', 'inf'],
         'statistics': [['votes'], ['votes', 'sums', 'squares']], 'format_version': [1, 2]}

def need(condition, text):
    if not condition: raise Refused(text)

def parse(line):
    def pairs(items):
        need(len(dict(items)) == len(items), 'a key appears twice')
        return dict(items)
    need(len(line) <= 1 << 24, 'the line is too long')
    value = json.loads(line, object_pairs_hook=pairs, parse_float=D, parse_constant=D)
    need(isinstance(value, dict), 'the line is not a JSON object')
    return value

def is_count(value, limit=1 << 64): return type(value) is int and 0 <= value < limit

def number(fields, key):
    """The double that the text names, exactly."""
    need(type(fields[key]) in (int, D) and 0 <= fields[key] < D('1.7e308'), f'{key} must be a number from 0')
    return Fraction(float(fields[key]))

def check_header(h):
    """Returns what the ledger says of the radii."""
    stopped = h.get('stopping', 'fixed') != 'fixed'
    keys = HEADER | (FORMAT_2 | FUNCTION if h['format_version'] == 2 else set()) | (STOPPED if stopped else set())
    optional = {'classifier_sha256', 'lattice_step', 'variation', 'prefix_error'} & set(h) if h['format_version'] == 2 else set()
    need(keys <= set(h) <= keys | FUNCTION | optional, f'the header lacks a key or has another: {sorted(keys ^ set(h))}')
    for key in KNOWN.keys() & h.keys():
        need(h[key] in KNOWN[key] and type(h[key]) is not bool,
             f'{key} {h[key]} is not checked here, but {", ".join(map(str, KNOWN[key]))}')
    foreign = h.get('source') in ('eval-data', 'smoothing-log')
    need(foreign or all(re.fullmatch('[0-9a-f]{64}', h[key]) for key in ('model_sha256', 'dataset_sha256', *optional) if key.endswith('sha256')), 'no SHA-256')
    need(foreign or (h['split'] in ('train', 'test') and is_count(h['seed'])), 'split or seed is out of range')
    need(h['mechanism'] == 'none' or (number(h, 'noise_scale') > 0 and number(h, 'sensitivity') > 0),
         'noise without scale or sensitivity')
    need('variation' not in h or 0 < number(h, 'variation') < 1, 'variation must lie between 0 and 1')
    need('prefix_error' not in h or number(h, 'prefix_error') > 0, 'prefix_error must be above 0')
    need('lattice_step' not in h or (number(h, 'lattice_step') > 0 and 'variation' in h), 'a lattice without its variation')
    need(0 < number(h, 'alpha') < 1, 'alpha must lie between 0 and 1')
    need(is_count(h['draws'], 1 << 32) and h['draws'] > 0 and is_count(h['selection_draws']), 'draws are out of range')
    need(h['format_version'] == 1 or h['selected_by'] in (['argmax', 'softmax'] if h['selection_draws'] else [None]), 'selected_by is wrong')
    need(h['selection_draws'] > 0 or not (stopped or h['bound'] == 'one-sided'), 'such bounds need selection draws')
    if stopped:
        need(h['bound'] == 'anytime' and h['mechanism'] != 'none', 'draws that stopped by their counts need anytime bounds')
        shares = ['futility', 'stopping_alpha'] + ['target'] * (h['stopping'] == 'tolerance')
        need(number(h, 'target') > 0 and all(0 < number(h, key) < 1 for key in shares), f'target, {" or ".join(shares)} is out of range')
        looks = [0, *h['looks'], h['draws']]
        need(all(map(is_count, looks)) and looks[:-1] == sorted(set(looks)), 'the looks do not rise to the draws')
    ledger = h.get('ledger', [])
    need(all(set(look) == {'alpha', 'draws', 'score_type', 'bound'} and is_count(look['draws']) for look in ledger), 'a look is malformed')
    order = [(look['draws'], look['score_type'], look['bound']) for look in ledger]
    need(order == sorted(set(order)), 'the ledger is not in order, or has a look twice')
    need(sum(number(look, 'alpha') for look in ledger) < 1, 'the ledger spends more than there is')
    reserved = any(all(look[key] == h[key] for key in look if key != 'draws' or h['bound'] != 'anytime') for look in ledger)
    return 'reserved' if reserved else 'exploration' if ledger else 'unrecorded'

def check_line(h, r):
    kept = ['counts'] if h['format_version'] == 1 else h['statistics']
    keys = ['image', 'label', 'prediction', 'selection_draws', 'draws', 'radius', 'chain'][:5 + h['format_version']] + kept
    need(sorted(r) == sorted(keys), f'the keys are {list(r)}')
    votes, radius, selected = r[kept[0]], r['radius'], h['selection_draws'] > 0
    need(isinstance(votes, list) and len(votes) > 1 and all(map(is_count, votes)), 'the votes are malformed')
    need(is_count(r['draws']) and r['draws'] in h.get('looks', [h['draws']]), 'the header has other draws')
    need(sum(votes) == r['draws'], 'the votes do not add up to the draws')
    need(r['selection_draws'] == h['selection_draws'] and is_count(r['selection_draws']), 'the header has other selection draws')
    unknown_label = r['label'] is None and h.get('source') == 'eval-data'
    need(is_count(r['image']) and is_count(r['prediction'], len(votes)) and (unknown_label or is_count(r['label'], len(votes))),
         'image, label or prediction is out of range')
    need(selected or r['prediction'] == votes.index(max(votes)), 'the prediction is not the label with the most votes')
    need(type(radius) in (int, D) and radius >= 0, 'the radius is out of range')
    if radius == 0: return
    need(h['mechanism'] != 'none', 'a radius without noise')
    beside = max(v for i, v in enumerate(votes) if i != r['prediction'])
    size = proved_size(h['certificate'], h['mechanism'], h['bound'], number(h, 'alpha'), len(votes), selected,
                       votes[r['prediction']], beside, r['draws'], number(h, 'variation') if 'variation' in h else Fraction(0))
    rounding = Interval(2 * number(h, 'prefix_error') if 'prefix_error' in h else 0)  # at the image and at the attack
    proved = ((Interval(size) * Interval(number(h, 'noise_scale')) - rounding) / Interval(number(h, 'sensitivity'))).low
    need(radius <= proved, f'the radius is {radius}, but the votes prove only {float(proved)}')

def of_outputs():
    """check_outputs.py beside this file, which takes its arithmetic from here."""
    sys.modules.setdefault('check_certificates', sys.modules[__name__])
    import check_outputs
    return check_outputs

def check(data):
    """What the log says of itself. Raises Refused for what is wrong, with the line."""
    *lines, rest = data.split(b'\n')
    place, images, classes = 1, {}, set()
    try:
        need(lines, 'there is no header')
        header = parse(lines[0])
        outputs = of_outputs() if 'regression_log' in header else None
        standing = outputs.check_header(header) if outputs else check_header(header)
        chain = hashlib.sha256(lines[0]).hexdigest().encode()
        for place, line in enumerate(lines[1:], 2):
            record = parse(line)
            if outputs or header['format_version'] == 2:
                body = line.rpartition(b', "chain": "')[0]
                chain = hashlib.sha256(chain + body).hexdigest().encode()
                need(line == body + b', "chain": "' + chain + b'"}',
                     'the chain is broken: this line, its place or what is above it was changed')
            outputs.check_line(header, record) if outputs else check_line(header, record)
            need(images.setdefault(record['image'], place) == place, f'image {record["image"]} is on a line above already')
            classes.add(len(record.get('votes', record.get('counts'))))
            need(len(classes) == 1, 'another number of classes than above')
    except (Refused, ValueError, ArithmeticError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f'{place}: {type(error).__name__}: {error}') from None
    what = outputs.text(header) if outputs else f'radii follow from their votes ({header["certificate"]}, {header["bound"]}'
    return (f'{len(images)} {what}, alpha {header["alpha"]}: {standing})' + ('; an incomplete last line was left out' if rest else ''))

def main(paths):
    if not paths or paths[0].startswith('-'):
        return print(__doc__) or (0 if paths == ['--help'] else 2)
    status = 0
    for path in paths:
        try:
            with open(path, 'rb') as file: print(f'{path}: {check(file.read())}')
        except (OSError, Refused) as error:
            print(f'{path}:{error}', file=sys.stderr)
            status = 1
    return status

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
