"""Reverse-mode differentiation: the tape (engine), Tensor, and operations with their backward.

``engine`` records nodes and walks them back; ``variable``, ``conversion``, ``methods`` and
``tensor`` make up :class:`fastconv.Tensor`; ``arithmetic``, ``elementwise``, ``reduction``,
``shaping`` and ``inplace`` hold one family of its operations each, a backward closure beside every
forward. Networks' operations are in :mod:`fastconv.nn.functional`.
"""
