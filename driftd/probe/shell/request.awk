# The request (docs/wire.md), from its bytes as decimal numbers: one line for each value, "KEY VALUE"; strings as
# octal(); a list is one line for each of its values; what is in limits stands as "limits.KEY".

function value(key,  byte, n, text) {
    byte = b[at]
    if (byte == 105) {
        while (b[++at] != 101 && at <= bytes) text = text sprintf("%c", b[at])
        at++
        print key, text
    } else if (byte == 108) {
        at++
        while (b[at] != 101 && at <= bytes) value(key)
        at++
    } else if (byte == 100) {
        at++
        while (b[at] != 101 && at <= bytes) value((key == "" ? "" : key ".") plain(text_at()))
        at++
    } else print key, text_at()
}
function text_at(  n, out) {
    while (b[at] != 58 && at <= bytes) n = n * 10 + b[at++] - 48
    at++
    while (n-- > 0 && at <= bytes) out = out O[b[at++]]
    return out
}
{ for (i = 1; i <= NF; i++) b[++bytes] = $i }
END {
    at = 1
    value("")
}
