# A message of lists from lines "KEY VALUE", sorted by key, values as octal(); and how long each list is.
# Variables: tag (of the frame), counted (a letter before each count: which total it belongs to).

function finish() {
    if (key != "") mark("e")
}
$1 != key {
    finish()
    if (!size) mark("d")
    key = $1
    string(key)
    mark("l")
}
{
    string(plain($2))
    tally("n " key " 1")
    if (size > 262144) {
        mark("ee")
        frame(tag)
        key = ""
    }
}
END {
    finish()
    if (size) {
        mark("e")
        frame(tag)
    }
    close("cat >&5")
}
