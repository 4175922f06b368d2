"""Orders of the lantern shop."""


def total(lines):
    return sum(count * price for count, price in lines)
