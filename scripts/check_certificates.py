#!/usr/bin/env python3
"""Checks certificate logs: that every radius follows from its votes, without any code of the engine.

    scripts/check_certificates.py LOG...

Reads formats 1 and 2 (docs/certificate_log.md). Refuses a log whose lines contradict the header, each other or the
chain, and any radius larger than the votes prove. Everything is computed in intervals of decimals with directed
rounding (check_intervals.py), so that what is accepted is true. Checked are the certificates exact and pixeldp of votes
under clopper-pearson, pairwise, one-sided and anytime bounds, and logs of regression networks (check_outputs.py); others
are refused by name. Exit status 0: all is well, 1: something is wrong, 2: wrong usage.
"""
import functools, hashlib, json, re, sys
from decimal import Decimal as D
from fractions import Fraction

import check_outputs
from check_intervals import (DOWN, HALF, Interval, Refused, TWO_PI, UP, is_count, lower_bound, need, normal_quantile,
                             number, tail)

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
                                                    'target futility_at_last looks stopping_certificate stopping_alpha'))
KNOWN = {'mechanism': ['gaussian', 'laplace', 'none'], 'score_type': ['argmax'], 'stopping': ['fixed', 'radius', 'tolerance'],
         'certificate': ['exact', 'pixeldp'], 'bound': ['clopper-pearson', 'pairwise', 'one-sided', 'anytime'],
         'stopping_certificate': ['exact', 'pixeldp', 'pixeldp-grid'],
         'source': ['draws', 'format-1', 'eval-data', 'smoothing-log'], 'attack_norm': ['1', '2', 'inf'],
         'statistics': [['votes'], ['votes', 'sums', 'squares']], 'format_version': [1, 2]}

def parse(line):
    def pairs(items):
        need(len(dict(items)) == len(items), 'a key appears twice')
        return dict(items)
    need(len(line) <= 1 << 24, 'the line is too long')
    value = json.loads(line, object_pairs_hook=pairs, parse_float=D, parse_constant=D)
    need(isinstance(value, dict), 'the line is not a JSON object')
    return value

def check_header(h):
    """Returns what the ledger says of the radii."""
    stopped = h.get('stopping', 'fixed') != 'fixed'
    futility = 'futility' if 'futility' in h else 'futility_at_last'
    keys = HEADER | (FORMAT_2 | FUNCTION if h['format_version'] == 2 else set()) | (STOPPED - {'futility_at_last'} | {futility} if stopped else set())
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
        need(h['stopping'] == 'radius' or futility == 'futility', 'a tolerance is of what infinitely many draws would prove')
        shares = [futility, 'stopping_alpha'] + ['target'] * (h['stopping'] == 'tolerance')
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

def check(data):
    """What the log says of itself. Raises Refused for what is wrong, with the line."""
    *lines, rest = data.split(b'\n')
    place, images, classes = 1, {}, set()
    try:
        need(lines, 'there is no header')
        header = parse(lines[0])
        outputs = check_outputs if 'regression_log' in header else None
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
