"""Deep Painterly Harmonization (Luan et al. 2018, https://arxiv.org/abs/1804.03189) in torch.

Pure numerics: no sockets, threads, protocol or Krita in here.
"""
