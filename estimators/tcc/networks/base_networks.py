"""The base networks by their names: each maps images to what an embedder takes."""

from estimators.tcc.networks import resnet50v2, small_base, vgg_m

SCOPE = 'base'
# The published name of each first; the last is for images of 64 pixels and CPUs.
TABLE = {'Resnet50_pretrained': resnet50v2.base, 'VGGM': vgg_m.base, 'small': small_base.base}
