#!/usr/bin/env python3
"""Writes a made-up data set of 28x28 pictures, a bright bar per class over grey, and made.yaml, which trains on it
within a second or two (as tests/made_mnist.hpp does).

    tests/cluster/made_run.py FOLDER [IMAGES]
"""
import pathlib
import random
import sys

TRAINING, SIDE = 256, 28


def write(folder, stem, count, seed):
    numbers = random.Random(seed)
    images = bytearray(b"".join(n.to_bytes(4, "big") for n in (0x803, count, SIDE, SIDE)))
    labels = bytearray(b"".join(n.to_bytes(4, "big") for n in (0x801, count)))
    for i in range(count):
        label = i % 10
        labels.append(label)
        grey = bytearray(byte % 64 for byte in numbers.randbytes(SIDE * SIDE))
        for row in range(3 * label, min(3 * label + 3, SIDE)):
            for column in range(5, 24):
                grey[row * SIDE + column] = 255 - grey[row * SIDE + column]
        images += grey
    (folder / f"{stem}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(labels)


def main():
    folder = pathlib.Path(sys.argv[1])
    write(folder, "train", TRAINING, 1)
    write(folder, "t10k", int(sys.argv[2]) if len(sys.argv) > 2 else 32, 2)
    (folder / "made.yaml").write_text(f"""name: made
data: {{set: mnist, directory: {folder.resolve()}}}
network: {{architecture: mnist-cnn}}
noise: {{mechanism: gaussian, construction_bound: 0.1}}
sensitivity: {{control: parseval, parseval_step: 0.05, parseval_loops: 2}}
training: {{steps: 12, batch: 16, learning_rate: 0.02, log_every: 5, evaluate_every: 12, checkpoint_every: 4,
  evaluation_images: 20, evaluation_draws: 3}}
""")


if __name__ == "__main__":
    main()
