"""From features to honest scores: recipe, trainer, folds by subject, peers, metrics, comparisons.

In: Features and a Recipe. Out: an Outcome per recipe (scores, answers, weights), and what its score
means.
"""
