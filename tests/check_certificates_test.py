#!/usr/bin/env python3
"""Holds scripts/check_certificates.py against logs of the program: those it must accept, and mutated ones, none of
which it may.

check_certificates_test.py PROGRAM [MUTATED LOGS]
"""
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'scripts'))
import check_certificates  # noqa: E402

RULES = [(certificate, mechanism, bound, selection) for certificate in ('exact', 'pixeldp')
         for mechanism in ('gaussian', 'laplace')
         for bound, selection in (('clopper-pearson', 0), ('clopper-pearson', 9), ('pairwise', 0), ('pairwise', 9), ('one-sided', 9),
                                 ('anytime', 0), ('anytime', 9))]


def header_of(mechanism, draws, selection):
    return {'format_version': 1, 'model_sha256': 'a' * 64, 'dataset': 'made', 'dataset_sha256': 'b' * 64, 'split': 'test',
            'mechanism': mechanism, 'noise_scale': 0.2537272572517395, 'noise_at_certification': False, 'epsilon': None,
            'delta': None, 'construction_bound': None, 'attack_norm': '2', 'sensitivity': 1.0705001080797252,
            'score_type': 'argmax', 'bound': 'clopper-pearson', 'certificate': 'exact', 'alpha': 0.05, 'precision': 'fp32',
            'residual_precision': 'fp32', 'algorithm': 'direct', 'seed': 1, 'draws': draws, 'selection_draws': selection}


def votes_of(rng, draws, classes):
    votes = [0] * classes
    left = draws
    for c in rng.sample(range(classes), classes):
        votes[c] = rng.choice([left, left * 9 // 10, left // 2, rng.randint(0, left)])
        left -= votes[c]
    votes[rng.randrange(classes)] += left
    return votes


def made_log(program, folder, rng, rule, images, draws=None, classes=None, alpha=None):
    """A log whose radii the program derived from votes that nobody drew."""
    certificate, mechanism, bound, selection = rule
    draws, classes = draws or rng.choice([10, 40, 300, 300, 10000]), classes or rng.choice([2, 3, 10, 50])
    lines = [json.dumps(header_of(mechanism, draws, selection))]
    for image in range(images):
        votes = votes_of(rng, draws, classes)
        lines.append(json.dumps({'image': image, 'label': rng.randrange(classes), 'prediction': votes.index(max(votes)),
                                 'selection_draws': selection, 'draws': draws, 'counts': votes, 'radius': 0}))
    (folder / 'votes.jsonl').write_text('\n'.join(lines) + '\n')
    (folder / 'log.jsonl').unlink(missing_ok=True)
    subprocess.run([program, 'recertify', folder / 'votes.jsonl', '--output', folder / 'log.jsonl', '--bound', bound,
                    '--certificate', certificate, '--alpha', alpha or rng.choice(['0.05', '0.001', '0.3'])], check=True, stdout=subprocess.DEVNULL)
    return (folder / 'log.jsonl').read_bytes()


class Log:
    """The lines of a log, to be changed, and written with the chain that a forger would give them."""

    def __init__(self, data):
        self.header, *self.records = map(json.loads, data.splitlines())
        self.votes = 'counts' if self.header['format_version'] == 1 else 'votes'

    def text(self):
        lines = [json.dumps(self.header)]
        chain = hashlib.sha256(lines[0].encode()).hexdigest()
        for record in self.records:
            line = json.dumps(record)
            if self.header.get('format_version') == 2 and 'chain' in record:
                body = json.dumps({key: value for key, value in record.items() if key != 'chain'})[:-1]
                chain = hashlib.sha256((chain + body).encode()).hexdigest()
                line = body + f', "chain": "{chain}"}}'
            lines.append(line)
        return ('\n'.join(lines) + '\n').encode()

    def certified(self, rng):
        found = [record for record in self.records if record['radius'] > 0]
        return rng.choice(found) if found else None


def stopped_log(program, folder, rng, certificate, rule):
    """A log of images that stopped after different numbers of draws."""
    early, late = (Log(made_log(program, folder, rng, (certificate, 'gaussian', 'anytime', 9), 6, draws, 10, '0.05'))
                   for draws in (96, 300))
    late.header.update(stopping=rule, target=0.2, looks=[32, 64, 96, 300], stopping_certificate='exact',
                       stopping_alpha=0.05)
    late.header['futility_at_last' if rule == 'radius' else 'futility'] = 0.01
    late.records += [record | {'image': record['image'] + 100} for record in early.records]
    return late.text()


def charged_log(program, folder, rng, rule):
    """A log whose radii the program charged for a variation and for rounding."""
    log = Log(made_log(program, folder, rng, rule, 12, 300, 10))
    log.header.update(variation=10 ** -rng.uniform(3, 6), prefix_error=0.01 * rng.random())
    for record in log.records: record['radius'] = 0
    (folder / 'uncharged.jsonl').write_bytes(log.text())
    (folder / 'charged.jsonl').unlink(missing_ok=True)
    subprocess.run([program, 'recertify', folder / 'uncharged.jsonl', '--output', folder / 'charged.jsonl'], check=True, stdout=subprocess.DEVNULL)
    return (folder / 'charged.jsonl').read_bytes()


# Each changes a log so that it is wrong, and says whether it could.

def larger_radius(log, rng):
    if record := log.certified(rng):
        record['radius'] *= 1 + 10 ** -rng.uniform(0, 9)
    return record


def invented_radius(log, rng):
    found = [record for record in log.records if record['radius'] == 0]
    if found:
        rng.choice(found)['radius'] = rng.choice([1e-3, 0.1, 5])
    return found


def moved_vote(log, rng):
    if record := log.certified(rng):
        votes, top = record[log.votes], record['prediction']
        votes[top] -= 1
        votes[(top + rng.randrange(1, len(votes))) % len(votes)] += 1
    return record


def other_prediction(log, rng):
    if record := log.certified(rng):
        top = record['prediction']
        record['prediction'] = (top + rng.randrange(1, len(record[log.votes]))) % len(record[log.votes])
    return record


def one_vote_more(log, rng):
    votes = rng.choice(log.records)[log.votes]
    votes[rng.randrange(len(votes))] += rng.choice([1, -1, 7])
    return True


def smaller_claim(key, factor):
    def change(log, rng):
        log.header[key] *= factor(rng)
        return log.certified(rng)
    return change


def larger_charge(key):
    def change(log, rng):
        if key not in log.header: return False
        log.header[key] *= 1 + 10 ** -rng.uniform(0, 3)
        return log.certified(rng)
    return change


def other_header(key, values):
    def change(log, rng):
        log.header[key] = rng.choice(values)
        return True
    return change


def other_stopping(key, values):
    def change(log, rng):
        if log.header.get('stopping', 'fixed') == 'fixed': return False
        log.header[key] = rng.choice(values)
        return True
    return change


def paper_certificate(log, rng):
    possible = log.header['mechanism'] == 'gaussian' and log.header['certificate'] == 'exact'
    log.header['certificate'] = 'pixeldp'
    return possible and log.certified(rng)


def other_record(key, values):
    def change(log, rng):
        rng.choice(log.records)[key] = rng.choice(values)
        return True
    return change


def twice(log, rng):
    log.records.insert(rng.randrange(len(log.records) + 1), dict(rng.choice(log.records)))
    return True


def without_class(log, rng):
    possible = len(log.records) > 1
    record = rng.choice(log.records)
    votes = record[log.votes]
    votes.append(0)
    return possible


def without_key(log, rng):
    fields = rng.choice([log.header, rng.choice(log.records)])
    older = {'noise_at_certification', 'precision', 'residual_precision', 'algorithm', 'variation', 'prefix_error'}
    made_anew = {'chain'}  # by text()
    del fields[rng.choice([key for key in fields if key not in older | made_anew])]
    return True


def another_key(log, rng):
    rng.choice([log.header, rng.choice(log.records)])['note'] = 1
    return True


MUTATIONS = [larger_radius, larger_radius, larger_radius, invented_radius, moved_vote, moved_vote, other_prediction, one_vote_more,
             smaller_claim('alpha', lambda rng: rng.uniform(0.01, 0.999)),
             smaller_claim('sensitivity', lambda rng: 1 + 10 ** -rng.uniform(0, 9)),
             smaller_claim('noise_scale', lambda rng: 1 - 10 ** -rng.uniform(0.1, 9)),
             larger_charge('variation'), larger_charge('prefix_error'),
             other_header('draws', [0, -1, 299, 301, 1 << 32, 2.5, None]),
             other_header('selection_draws', [1, 77, -1, True]),
             other_header('alpha', [0, 1, -0.1, '0.05']),
             other_header('bound', ['hoeffding', 'empirical-bernstein', 'betting', '']),
             other_header('certificate', ['pixeldp-grid', 'cdf', 'best', None]),
             other_header('top', [2, 1, '3']),
             other_header('score_type', ['softmax', 1]),
             other_header('mechanism', ['uniform', []]),
             other_header('format_version', [0, 3, '1', True]),
             other_header('sensitivity', [0, -1, None, '1']),
             other_header('model_sha256', ['', 'A' * 64, 5]),
             other_stopping('looks', [[300], [32, 96], [96, 32, 300], [0, 96, 300], [96, 96, 300], 300, [96.5, 300], []]),
             other_stopping('target', [0, -1, None, '0.2']),
             other_stopping('futility_at_last', [0, 1, None]),
             other_stopping('futility', [0, 1, None]),
             other_stopping('stopping_alpha', [0, 1.5]),
             other_stopping('stopping_certificate', ['best', None]),
             other_stopping('stopping', ['fixed', 'luck', None]),
             other_stopping('bound', ['clopper-pearson', 'pairwise', 'one-sided']),
             other_record('label', [-1, 50, None, 1.5, True]),
             other_record('image', [-1, 1 << 64, '3', 0.5]),
             other_record('prediction', [-1, 50, None]),
             other_record('radius', [-1e-9, 100, float('nan'), float('inf'), '0', None, True]),
             paper_certificate, twice, without_class, without_key, another_key]


def mutated(data, rng):
    """A log that differs from the given one and is wrong, or nothing."""
    if json.loads(data.splitlines()[0])['format_version'] == 2 and rng.random() < 0.3:  # by somebody who leaves the chain alone
        place = rng.randrange(len(data) - 1)
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1:]
    log = Log(data)
    changed = rng.choice(MUTATIONS)(log, rng)
    return log.text() if changed else None


# The same for logs of regression networks.

OUTPUT_RULES = [('mean', 'exact', bound) for bound in ('betting', 'empirical-bernstein', 'hoeffding')] + [
    ('mean', 'pixeldp', bound) for bound in ('betting', 'empirical-bernstein', 'hoeffding')] + [('median', 'exact', 'clopper-pearson')]


def made_output_log(program, folder, rng, rule, mechanism, kind='sigmoid', charges={}):
    """A log whose intervals and radii the program derived from outputs that nobody drew."""
    prediction, certificate, bound = rule
    low, high, draws = rng.choice([(-50.0, 50.0), (-20.0, 60.0), (0.0, 30.0)]) + (rng.choice([40, 300]),)
    first = {'prediction': 'median', 'certificate': 'exact', 'bound': 'clopper-pearson', 'alpha': 0.05}
    header = {'regression_log': 2, 'model_sha256': 'a' * 64, 'dataset': 'made', 'dataset_sha256': 'b' * 64, 'split': 'test',
              'output': kind, 'low': low, 'high': high, 'mechanism': mechanism, 'noise_scale': 0.25, 'epsilon': None, 'delta': None,
              'construction_bound': None, 'attack_norm': '2' if mechanism == 'gaussian' else '1', 'sensitivity': 1.07, **charges, **first,
              'precision': 'fp32', 'residual_precision': 'fp32', 'algorithm': 'direct', 'seed': 1, 'draws': draws, 'radius': None,
              'move': None, 'ledger': [first]}
    lines = [json.dumps(header, separators=(',', ':'))]
    chain = hashlib.sha256(lines[0].encode()).hexdigest()
    for image in range(3):
        centre, spread = rng.uniform(low, high), rng.choice([0.1, 3, 12]) * (high - low) / 100
        values = [min(max(rng.gauss(centre, spread), low), high) for _ in range(draws)]
        scores = {'positive': [max(v, 0) / high for v in values], 'negative': [max(-v, 0) / -low if low else 0 for v in values]}
        counts = [0] * 65
        for v in values: counts[int((v - low) / (high - low) * 64)] += 1
        step, below = 0, counts[0]
        while 2 * below < draws: step += 1; below += counts[step]
        record = {'image': image, 'label': round(centre, 3), 'prediction': low + (high - low) * min(1.0, (step + 0.5) / 64), 'draws': draws,
                  **{key: [sum(round(s * 2**32) for s in of), sum(round(s * s * 2**32) for s in of)] for key, of in scores.items()},
                  'counts': counts}
        body = json.dumps(record, separators=(',', ':'))[:-1]
        chain = hashlib.sha256((chain + body).encode()).hexdigest()
        lines.append(body + f', "chain": "{chain}"}}')
    (folder / 'outputs.jsonl').write_text('\n'.join(lines) + '\n')
    (folder / 'log.jsonl').unlink(missing_ok=True)
    subprocess.run([program, 'recertify', folder / 'outputs.jsonl', '--output', folder / 'log.jsonl', '--prediction', prediction,
                    '--certificate', certificate, '--bound', bound, '--radius', rng.choice(['0.02', '0.1', '0.4']), '--move',
                    rng.choice(['2', '10'])], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (folder / 'log.jsonl').read_bytes()


class OutputLog(Log):
    def __init__(self, data): self.header, *self.records = map(json.loads, data.splitlines())

    def text(self):
        lines = [json.dumps(self.header, separators=(',', ':'))]
        chain = hashlib.sha256(lines[0].encode()).hexdigest()
        for record in self.records:
            body = json.dumps({key: value for key, value in record.items() if key != 'chain'}, separators=(',', ':'))[:-1]
            chain = hashlib.sha256((chain + body).encode()).hexdigest()
            lines.append(body + f', "chain": "{chain}"}}')
        return ('\n'.join(lines) + '\n').encode()


def narrower_interval(log, rng):
    record, end = rng.choice(log.records), rng.randrange(2)
    limits, by = (log.header['low'], log.header['high']), 10 ** -rng.uniform(0, 6) * (1 - 2 * end)
    possible = record['interval'][end] is not None
    if possible: record['interval'][end] += by * (limits[1] - limits[0])
    return possible


def larger_output_radius(log, rng):
    record = rng.choice(log.records)
    record['radius'] = record['radius'] * (1 + 10 ** -rng.uniform(0, 5)) + 1e-9
    return log.header['prediction'] == 'mean'  # a median's moves go in steps


def other_counts(log, rng):
    record = rng.choice(log.records)
    key = rng.choice(['counts', 'positive', 'negative'])
    record[key][0] += rng.choice([1, -1]) if key == 'counts' else 1 << 50
    return True


def larger_charge(log, rng):
    """As if the intervals had been charged for more than they were."""
    key, more = rng.choice([('variation', 0.02), ('prefix_error', 0.05)])
    inside = lambda end: end is not None and log.header['low'] < end < log.header['high']
    if key not in log.header or log.header['prediction'] == 'median' or not any(inside(end) for r in log.records for end in r['interval']):
        return False
    log.header[key] += more
    return True


def other_output_prediction(log, rng):
    rng.choice(log.records)['prediction'] += rng.choice([1e-3, -2])
    return True


OUTPUT_MUTATIONS = [narrower_interval, narrower_interval, larger_output_radius, larger_output_radius, other_counts,
                    other_output_prediction, larger_charge, twice,
                    other_header('regression_log', [1, 3, None]), other_header('draws', [0, 41, None]), other_header('alpha', [0, 1, '1']),
                    other_header('prediction', ['mode', None]), other_header('bound', ['pairwise', 'anytime', '']),
                    other_header('certificate', ['cdf', 'pixeldp-grid']), other_header('low', [-1e9, None, 70]),
                    other_header('ledger', [[], None, [{'alpha': 0.05}]]), other_header('mechanism', ['none', 'uniform']),
                    other_header('attack_norm', ['3', 2]), other_header('sensitivity', [0, -1]),
                    other_record('image', [-1, '3', 0.5]), other_record('draws', [0, 41]), other_record('label', [None, '1']),
                    other_record('interval', [None, [0.0], [1.0, 'x']]), other_record('counts', [[1] * 64, None]), without_key, another_key]


def mutated_output(data, rng):
    log = OutputLog(data)
    changed = rng.choice(OUTPUT_MUTATIONS)(log, rng)
    return log.text() if changed else None


def check_outputs(program, folder, rng, count):
    logs = [made_output_log(program, folder, rng, rule, mechanism) for rule in OUTPUT_RULES for mechanism in ('gaussian', 'laplace')]
    logs.append(made_output_log(program, folder, rng, OUTPUT_RULES[-1], 'gaussian', 'unbounded'))
    logs += [made_output_log(program, folder, rng, rule, mechanism, charges={'variation': 10 ** -rng.uniform(2, 5), 'prefix_error': 0.01 * rng.random()})
             for rule in OUTPUT_RULES for mechanism in ('gaussian', 'laplace')]
    for log in logs:
        print(check_certificates.check(log))
        assert not refused(OutputLog(log).text()), 'a log is refused once written anew'
    caught = 0
    while caught < count:
        log = mutated_output(rng.choice(logs), rng)
        if log is None: continue
        assert refused(log), 'not caught:\n' + log.decode(errors='replace')
        caught += 1
    print(f'{caught} mutated logs of regression networks caught')


def refused(data):
    try:
        check_certificates.check(data)
    except check_certificates.Refused:
        return True
    return False


def main(program, count):
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        logs = [made_log(program, pathlib.Path(name), rng, rule, 12) for rule in RULES for _ in range(max(1, count // 5000))]
        logs += [stopped_log(program, pathlib.Path(name), rng, certificate, rule)
                 for certificate in ('exact', 'pixeldp') for rule in ('radius', 'tolerance')]
        logs += [charged_log(program, pathlib.Path(name), rng, rule) for rule in RULES]
    certified = sum(record['radius'] > 0 for log in logs for record in map(json.loads, log.splitlines()[1:]))
    assert certified > 2 * len(logs), f'only {certified} radii'
    for log in logs:
        print(check_certificates.check(log))  # raises Refused for a false alarm
        assert not refused(Log(log).text()), 'a log is refused once written anew'
    caught = 0
    while caught < count:
        log = mutated(rng.choice(logs), rng)
        if log is None:
            continue
        assert refused(log), 'not caught:\n' + log.decode(errors='replace')
        caught += 1
    print(f'{caught} mutated logs caught')
    with tempfile.TemporaryDirectory() as name: check_outputs(program, pathlib.Path(name), rng, count)


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300)
