#!/usr/bin/env python3
"""Compares classifiers for ImageNet with torchvision's, for random weights: torchvision_logits.py PROGRAM

It takes PyTorch, torchvision and Pillow (Debian: python3-torchvision, python3-pil). The program's scores are read from the
log of certify without noise, whose softmax has 32 bits behind the point; what is compared are their logarithms, which are
the logits but for a constant. Exit status 1 where one differs by more than 1e-4 of the largest."""
import json, os, struct, subprocess, sys, tempfile
import torch, torchvision
from PIL import Image

torch.manual_seed(1)

def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        size = 4 * tensor.numel()
        header[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().tobytes())

def random_weights(model):
    """Statistics of every batch normalisation that a trained one might have, so that logits differ."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 0.8)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity='linear')
        if isinstance(module, torch.nn.Linear):
            module.weight.data.normal_(0, 0.1)
    return model.eval()

def compare(program, architecture, model, side, folder, pictures=2):
    random_weights(model)
    weights = {name: tensor.float() for name, tensor in model.state_dict().items() if tensor.dim() > 0}
    write_safetensors(f'{folder}/weights.safetensors', weights)
    images = []
    for i in range(pictures):
        pixels = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8)
        os.makedirs(f'{folder}/data/val/n{i}')
        Image.fromarray(pixels.numpy()).save(f'{folder}/data/val/n{i}/picture.png')
        images.append(pixels.permute(2, 0, 1).float() / 255)
    with open(f'{folder}/data/synsets.txt', 'w') as file:
        file.write(''.join(f'{i} n{i}\n' for i in range(1000)))
    run = f'{folder}/{architecture}'
    subprocess.run([program, 'import', f'{folder}/weights.safetensors', '--architecture', architecture, '--dataset',
                    'image-folder', '--image-height', str(side), '--image-width', str(side), '--mean', '.5,.5,.5', '--std',
                    '.5,.5,.5', '--output', run], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, 'certify', run, '--data', f'{folder}/data', '--scores', 'softmax', '--bound',
                    'empirical-bernstein', '--algorithm', 'direct'], check=True, stdout=subprocess.DEVNULL)
    with open(f'{run}/certificates.jsonl') as file:
        lines = [json.loads(line) for line in file][1:]
    with torch.no_grad():
        logits = model.double()((torch.stack(images).double() - 0.5) / 0.5)
    worst = 0.0
    for line, expected in zip(lines, logits):
        expected = torch.log_softmax(expected, 0)
        scores = torch.tensor(line['sums'], dtype=torch.float64) / 2**32
        seen = scores > 1e-4  # the others have too few bits
        assert seen.sum() >= 10, f'{architecture}: only {seen.sum()} scores can be compared'
        worst = max(worst, ((scores[seen].log() - expected[seen]).abs().max() / expected.abs().max()).item())
    print(f'{architecture}: {sum(tensor.numel() for name, tensor in model.named_parameters())} parameters, '
          f'logits differ by {worst:.1e} of the largest')
    return worst <= 1e-4

if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        models = torchvision.models
        good = [compare(sys.argv[1], 'resnet-50', models.resnet50(), 224, tempfile.mkdtemp(dir=folder)),
                compare(sys.argv[1], 'inception-v3', models.inception_v3(init_weights=False, transform_input=False), 299,
                        tempfile.mkdtemp(dir=folder))]
    sys.exit(0 if all(good) else 1)
