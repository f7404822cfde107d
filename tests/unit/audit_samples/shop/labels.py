"""H6: a list as a default."""


def labels(product, found=[]):
    for word in product.split():
        found.append(word.lower())
    return found
