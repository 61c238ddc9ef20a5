"""Sets of problems, each one line of text: the same in test ids, bench rows and bug reports.

A convolution `n8c64h56k64r3p1` is a batch of 8 images of 64 channels and 56x56 cells, 64 filters of
3x3, padding 1; `sh` is the stride, `dh` the dilation, `g` the groups, `q` the padding after where
it differs from the padding before, `p`. `pool:n64c6h28r2` pools 2x2 windows; `linear:n64i400o120`
is a layer of 400 features to 120, `norm:n8c64h56` a batch normalisation. A second extent that
equals the first is left out (`w`, `s`).
"""

from __future__ import annotations

import re

from fastconv import _core

Problem = _core.ConvProblem | _core.PoolProblem | _core.LinearProblem | _core.NormProblem

# Every distinct convolution of a network once, with the batch that the benches use.
LENET = ("n64c1h28k6r5p2", "n64c6h14k16r5")

# The CIFAR-10 demonstration of ConvNetJS (Karpathy, 2014).
CONVNETJS = ("n64c3h32k16r5p2", "n64c16h16k20r5p2", "n64c20h8k20r5p2")

# Krizhevsky, Sutskever, Hinton (2012) in one column, without groups.
ALEXNET = (
    "n16c3h227k96r11sh4",
    "n16c96h27k256r5p2",
    "n16c256h13k384r3p1",
    "n16c384h13k384r3p1",
    "n16c384h13k256r3p1",
)

# Simonyan, Zisserman (2015), configuration D.
VGG16 = (
    "n4c3h224k64r3p1",
    "n4c64h224k64r3p1",
    "n4c64h112k128r3p1",
    "n4c128h112k128r3p1",
    "n4c128h56k256r3p1",
    "n4c256h56k256r3p1",
    "n4c256h28k512r3p1",
    "n4c512h28k512r3p1",
    "n4c512h14k512r3p1",
)

# He, Zhang, Ren, Sun (2016), table 1.
RESNET18 = (
    "n8c3h224k64r7sh2p3",
    "n8c64h56k64r3p1",
    "n8c64h56k128r3sh2p1",
    "n8c64h56k128r1sh2",
    "n8c128h28k128r3p1",
    "n8c128h28k256r3sh2p1",
    "n8c128h28k256r1sh2",
    "n8c256h14k256r3p1",
    "n8c256h14k512r3sh2p1",
    "n8c256h14k512r1sh2",
    "n8c512h7k512r3p1",
)

# The same, the stride of a stage's first block on its 3x3 convolution.
RESNET50 = (
    "n8c3h224k64r7sh2p3",
    "n8c64h56k64r1",
    "n8c64h56k64r3p1",
    "n8c64h56k256r1",
    "n8c256h56k64r1",
    "n8c256h56k128r1",
    "n8c128h56k128r3sh2p1",
    "n8c128h28k512r1",
    "n8c256h56k512r1sh2",
    "n8c512h28k128r1",
    "n8c128h28k128r3p1",
    "n8c512h28k256r1",
    "n8c256h28k256r3sh2p1",
    "n8c256h14k1024r1",
    "n8c512h28k1024r1sh2",
    "n8c1024h14k256r1",
    "n8c256h14k256r3p1",
    "n8c1024h14k512r1",
    "n8c512h14k512r3sh2p1",
    "n8c512h7k2048r1",
    "n8c1024h14k2048r1sh2",
    "n8c2048h7k512r1",
    "n8c512h7k512r3p1",
)

# Howard et al. (2017), table 1: depthwise 3x3 and pointwise 1x1 in turn.
MOBILENET = (
    "n8c3h224k32r3sh2p1",
    "n8g32c32h112k32r3p1",
    "n8c32h112k64r1",
    "n8g64c64h112k64r3sh2p1",
    "n8c64h56k128r1",
    "n8g128c128h56k128r3p1",
    "n8c128h56k128r1",
    "n8g128c128h56k128r3sh2p1",
    "n8c128h28k256r1",
    "n8g256c256h28k256r3p1",
    "n8c256h28k256r1",
    "n8g256c256h28k256r3sh2p1",
    "n8c256h14k512r1",
    "n8g512c512h14k512r3p1",
    "n8c512h14k512r1",
    "n8g512c512h14k512r3sh2p1",
    "n8c512h7k1024r1",
    "n8g1024c1024h7k1024r3p1",
    "n8c1024h7k1024r1",
)

# LeNet-5's layers, one image of it, AlexNet's and VGG's widest, ResNet-50's classifier.
LINEAR = (
    "linear:n64i400o120",
    "linear:n64i120o84",
    "linear:n64i84o10",
    "linear:n1i400o120",
    "linear:n1i4096o4096",
    "linear:n8i2048o1000",
    "linear:n128i9216o4096",
    "linear:n256i4096o4096",
)

POOL = (
    "pool:n64c6h28r2",
    "pool:n64c16h10r2",
    "pool:n64c64h56r2",
    "pool:n64c64h56r3sh2",
    "pool:n16c96h55r3sh2",
    "pool:n8c64h112r3sh2p1",
)

# Batch normalisations: of the network in the benches, of ResNet-50, of a linear layer.
NORM = (
    "norm:n64c32h32",
    "norm:n64c64h16",
    "norm:n8c64h112",
    "norm:n8c64h56",
    "norm:n8c256h56",
    "norm:n8c512h28",
    "norm:n8c256h14",
    "norm:n8c2048h7",
    "norm:n128c1024",
)

# Where kernels go wrong: edges, tails, empty and tiny extents, every parameter alone and mixed.
CORNER = (
    "n1c1h1k1r1",
    "n2c3h1k5r3p1",
    "n2c4h1w9k3r1s3pw1",
    "n2c4h9w1k3r3s1ph1",
    "n1c2h3k4r3p5",
    "n2c3h2k3r2p4sh3",
    "n0c3h8k4r3p1",
    "n2c5h11k7r3sh2",
    "n2c5h11w14k7r3s5sh2sw3ph1pw2",
    "n1c3h12k6r3sh5p1",
    "n2c8h9k8r1sh3",
    "n2c4h13k5r3dh3p3",
    "n1c3h17w15k6r3s4dh2dw3sh2sw1p2",
    "n2c6h9k8r3p1q0",
    "n2c6h9w10k8r3ph0pw3qh2qw1",
    "n1c3h10k16r4p1q2",
    "n2g2c8h9k6r3p1",
    "n2g4c16h7k32r3sh2p1",
    "n3g3c3h8k9r3p1",
    "n2g8c8h11k8r3p1",
    "n2g17c17h9k34r3sh2p1",
    "n2g33c33h6k33r5p2",
    "n2g5c15h8k10r3dh2p2",
    "n2g40c40h17w23k40r3p1",
    "n1g19c38h9w30k19r3dh2p2",
    "n2g6c18h10k30r5sh2p2",
    "n1g3c24h7k24r7p3",
    "n2g20c20h18k20r5sh2p2",
    "n1g16c16h40w5k32r3sh3p1",
    "n3c1h9k1r3p1",
    "n3c3h9k3r3p1",
    "n2c15h10k17r3p1",
    "n2c17h10k15r3p1",
    "n1c33h9k33r3p1",
    "n2c1h10k33r5p2",
    "n2c33h10k1r5p2",
    "n1c65h7k66r1",
    "n1c64h5k129r3p1",
    "n2c2h40k70r3p1",
    "n1c4h31w7k24r7s2p3",
    "n70c3h4k6r3p1",
    "n1c130h4k20r3p1",
    "n1c3h64w3k16r3p1",
    "n1c16h2w200k16r3p1",
    "n1c50h1w1500k49r1s9",
    "n2c3h1w1300k20r1s5pw2sw2",
    "n1c30h1w900k30r1s3dw2pw1",
    "n1g2c20h1w1100k40r1s4sw3",
)

# Kernels of 2x2 to 5x5 and stride 1, for Winograd: tails of tiles and channels, paddings, groups,
# wide rows, more tiles than channels and fewer. On the first line tiles of 2x2 take no more
# products than those of 4x4.
WINOGRAD = (
    "n2c5h6k7r3p1", "n1c40h2k33r3p1", "n3c70h5k66r3p1", "n1g2c6h1w5k10r3p2", "n40c3h2w9k4r3p1",
    "n2c3h9k5r3", "n2c33h13k34r3p1", "n1c64h28k64r3p1", "n2c17h16k130r3p1", "n3c130h7k70r3p1",
    "n1c1h3k1r3", "n2c16h8w35k16r3p2", "n1c8h4k9r3p5", "n2c6h11w9k8r3ph0pw3qh2qw1",
    "n2g3c51h12k33r3p1", "n1c4h5w700k4r3p1", "n1c300h7k64r3p1",
    "n2c33h13k34r5p2", "n1c16h8w35k70r5", "n3c130h5k40r5p1", "n2g2c34h9w6k32r5ph3pw0",
    "n16c5h9w6k7r3p1", "n31c20h5k20r5p2", "n15c9h14w10k6r5", "n16c12h13k21r3p1", "n48c3h6w7k5r3p3",
    "n16c4h5k4r3p1",
    "n2c33h13k34r2p1", "n1c16h8w35k70r2", "n2g2c34h9w6k32r2ph0pw1", "n31c20h5k20r2p1",
    "n15c9h14w10k6r2", "n2c33h13k34r4p1", "n1c16h8w35k70r4p2", "n3c130h5k40r4p1",
    "n16c5h9w6k7r4p1", "n31c20h5k20r4p2",
)  # fmt: skip

DESCRIPTOR_SETS: dict[str, tuple[str, ...]] = {
    "lenet": LENET,
    "convnetjs": CONVNETJS,
    "alexnet": ALEXNET,
    "vgg16": VGG16,
    "resnet18": RESNET18,
    "resnet50": RESNET50,
    "mobilenet": MOBILENET,
    "linear": LINEAR,
    "pool": POOL,
    "norm": NORM,
    "corner": CORNER,
    "winograd": WINOGRAD,
}


def descriptor_set(*names: str) -> tuple[str, ...]:
    """The descriptors of the named sets, each once. Raises ValueError with the names that exist."""
    for name in names:
        if name not in DESCRIPTOR_SETS:
            known = ", ".join(DESCRIPTOR_SETS)
            raise ValueError(f"no descriptor set is named {name!r}; there are {known}")
    return tuple(dict.fromkeys(text for name in names for text in DESCRIPTOR_SETS[name]))


def parse_descriptor(text: str) -> Problem:
    """The problem that a descriptor stands for. Raises ValueError where it is malformed."""
    return _core.parse_descriptor(text)


def describe(problem: Problem) -> str:
    """The descriptor of a problem, with defaults and square extents left out."""
    return str(problem)


def with_batch(descriptor: str, batch: int) -> str:
    """The same problem with another number of images or rows."""
    return re.sub(r"^(pool:|linear:|norm:)?n\d+", rf"\g<1>n{batch}", descriptor)
