"""The only room that owns random bits: noise, exact selection, and the coins that split people.

Every draw inverts an exact cumulative table (``tables``) with words of a CSPRNG (``random``). Primitives that read
records (``measure``, ``selection``) charge before they draw; the laws of the noise are in ``gaussian``, ``laplace``.
"""
