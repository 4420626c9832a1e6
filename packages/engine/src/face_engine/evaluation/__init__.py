"""Quality assurance: how often strangers match and users are refused, on a labelled set, and how sure that is.

Terms are ISO/IEC 19795-1's. A pair of photos is *mated* where both show one person, else *non-mated*. Its *distance*
is lower for faces that are more alike, and `distance <= tolerance` is a match. A match of a non-mated pair is a false
match (FMR: their share of the non-mated pairs that were compared); no match of a mated one is a false non-match (FNMR:
their share of all mated pairs, those among them that could not be compared included).

`evaluate.evaluate` is the door; docs/evaluation.md tells a user of it, docs/accuracy.md what each figure means.
"""
