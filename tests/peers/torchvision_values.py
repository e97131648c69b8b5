#!/usr/bin/env python3
"""Holds ResNet-50 and Inception-v3 with random weights against torchvision's: torchvision_values.py build/tests/network_values

Logits as certification calculates them, what every block makes, and the number of weights. torchvision calculates in
double precision. One line for each network, and for the block that is farthest; exit status 1 where one differs by more
than 1e-4 of the largest value, 77 without PyTorch and torchvision.
"""
import pathlib
import sys
import tempfile

from values import difference, network_values, skip

try:
    import safetensors.torch
    import torch
    import torchvision
except ImportError as error:
    skip(error, "torch torchvision safetensors")

MOST = 1e-4


def randomise(model):
    """Weights, and statistics of every batch normalisation, such as a trained network might have, so that logits differ."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 0.8)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if isinstance(module, torch.nn.Linear):
            module.weight.data.normal_(0, 0.1)
    return model.eval()


def blocks_of_inception(model):
    """Our name for the last layer of a block -> theirs for the module."""
    names = {}
    for name, module in model.named_modules():
        if name.startswith("AuxLogits"):
            continue
        kind = type(module).__name__
        if kind == "BasicConv2d":
            names[f"{name}.bn"] = name
        elif kind.startswith("Inception") and name:
            names[f"{name}.cat"] = name
    return names | {name: name for name in ("maxpool1", "maxpool2", "avgpool", "fc")}


def blocks_of_resnet(model):
    names = {f"{name}.add": name for name, module in model.named_modules() if type(module).__name__ == "Bottleneck"}
    return names | {name: name for name in ("conv1", "maxpool", "avgpool", "fc")}


def values_of_modules(model, modules, pictures):
    values = {}
    hooks = [model.get_submodule(name).register_forward_hook(
        lambda module, given, made, name=name: values.update({name: made.clone()})) for name in modules]
    with torch.no_grad():
        logits = model(pictures)
    for hook in hooks:
        hook.remove()
    return values, logits


def compare(program, architecture, model, side, blocks, weights, folder, pictures=2):
    file = pathlib.Path(folder, f"{architecture}.safetensors")
    safetensors.torch.save_file(randomise(model).state_dict(), file)
    x = 2 * torch.rand(pictures, 3, side, side) - 1
    ours, about = network_values(program, f"{architecture}:{side}:{file}", x.permute(0, 2, 3, 1).numpy(), blocks)
    theirs, logits = values_of_modules(model.double(), blocks.values(), x.double())
    differences = {}
    for name, module in blocks.items():
        value = theirs[module]
        value = value.permute(0, 2, 3, 1) if value.dim() == 4 else value
        differences[module] = difference(ours[name], value.numpy())
    farthest = max(differences, key=differences.get)
    of_logits = difference(ours["scores"], logits.numpy())
    auxiliary = [p.numel() for name, p in model.named_parameters() if name.startswith("AuxLogits")]
    total = sum(p.numel() for p in model.parameters())
    counted = about["parameters"] == weights[0] == total - sum(auxiliary) and total == weights[1]
    print(f"{architecture}: {about['parameters']:,} weights ({total:,} in torchvision, the auxiliary head's too); logits "
          f"differ by {of_logits:.1e} of the largest, {len(blocks)} blocks by {differences[farthest]:.1e} at most "
          f"({farthest})")
    if not counted:
        print(f"{architecture}: the number of weights is another: {weights} are known")
    return counted and of_logits <= MOST and differences[farthest] <= MOST


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} build/tests/network_values")
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        resnet, inception = torchvision.models.resnet50(), torchvision.models.inception_v3(
            init_weights=False, transform_input=False)
        good = [compare(sys.argv[1], "resnet-50", resnet, 224, blocks_of_resnet(resnet), (25557032, 25557032), folder),
                compare(sys.argv[1], "inception-v3", inception, 299, blocks_of_inception(inception),
                        (23834568, 27161264), folder)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
