#!/usr/bin/env python3
"""What certify --sound costs: draws per second of one thread with and without it, in turn.

    bench/sound_cost.py RUN [--program build/pixeldp] [--images N] [--draws N] [--pairs N] [OPTION...]

Each certification is timed by the processor's time of its process, less that of one with a single draw: the
start, and all that is done once per image, are left out. The medians are printed, and the median of the pairs'
quotients. Further options go to certify, such as --algorithm direct.
"""
import argparse, os, resource, statistics, subprocess, tempfile


def seconds(program, run, images, draws, options):
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program, 'certify', run, '--images', f':{images}', '--draws', str(draws), '--output', f'{folder}/log', *options],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {'OMP_NUM_THREADS': '1'})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('run')
    parser.add_argument('--program', default='build/pixeldp')
    for name, default in (('images', 2), ('draws', 10000), ('pairs', 5)):
        parser.add_argument(f'--{name}', type=int, default=default)
    a, options = parser.parse_known_args()
    rates = {'floats': [], 'sound': []}
    for _ in range(a.pairs):
        for kind, found in rates.items():
            extra = options + ['--sound'] * (kind == 'sound')
            many, one = (seconds(a.program, a.run, a.images, draws, extra) for draws in (a.draws, 1))
            found.append(a.images * (a.draws - 1) / (many - one))
    for kind, found in rates.items():
        print(f'{kind:7} {statistics.median(found):10.1f} draws/s of one thread ({min(found):.1f} to {max(found):.1f})')
    quotients = [sound / floats for floats, sound in zip(rates['floats'], rates['sound'])]
    print(f'--sound: {100 * (1 - statistics.median(quotients)):.1f} % fewer (pairs: {100 * (1 - max(quotients)):.1f} to {100 * (1 - min(quotients)):.1f} %)')


if __name__ == '__main__': main()
