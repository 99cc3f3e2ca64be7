# How bytes are written without a way to write them: as the octal escapes of a format for printf(1).
# Everything is LC_ALL=C, so that length() counts bytes. put() gathers text and its size; frame() prints what was gathered.

function table(  i) {
    for (i = 0; i < 256; i++) {
        O[i] = sprintf("\\%03o", i)
        X[sprintf("%02x", i)] = O[i]
        if (i) C[sprintf("%c", i)] = O[i]
        if (i) R[sprintf("%03o", i)] = sprintf("%c", i)
    }
}
function u16(n) { return O[int(n / 256) % 256] O[n % 256] }
function u32(n) { return u16(int(n / 65536)) u16(n % 65536) }

# Decimal digits to 64 bits; numbers here are exact to 2^53 only.
function u64(s,  out, i, k, rem, quotient) {
    if (length(s) < 16) return u32(int(s / 4294967296)) u32(s % 4294967296)
    for (k = 0; k < 8; k++) {
        rem = 0
        quotient = ""
        for (i = 1; i <= length(s); i++) {
            rem = rem * 10 + substr(s, i, 1)
            quotient = quotient int(rem / 256)
            rem %= 256
        }
        out = O[rem] out
        s = quotient
    }
    return out
}
function hex(s,  n, i) {
    for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
    return n + 0
}
# Pairs of hexadecimal digits as escapes.
function pairs(s,  out, i) {
    for (i = 1; i < length(s); i += 2) out = out X[substr(s, i, 2)]
    return out
}
# Every byte as an escape; and only those that would not come through as themselves.
function octal(s,  out, i) {
    for (i = 1; i <= length(s); i++) out = out C[substr(s, i, 1)]
    return out
}
function esc(s) { return s ~ "^[A-Za-z0-9/._-]*$" ? s : octal(s) }

# The string that od -An -to1 printed, or that octal() made.
function plain(s,  out, part, i, n) {
    gsub(/\\/, " ", s)
    n = split(s, part, " ")
    for (i = 1; i <= n; i++) out = out R[part[i]]
    return out
}

# A pattern of fnmatch(3) that matches this path alone, as escapes.
function pattern(path,  out, i, byte) {
    for (i = 1; i <= length(path); i++) {
        byte = substr(path, i, 1)
        out = out (index("*?[\\", byte) ? C["\\"] : "") C[byte]
    }
    return out
}

function put(text, bytes) {
    piece[++pieces] = text
    size += bytes
}
function string(s) { put(length(s) ":" esc(s), length(length(s) "") + 1 + length(s)) }
function mark(text) { put(text, length(text)) }
function frame(tag,  i) {
    printf "%s", tag u32(size)
    for (i = 1; i <= pieces; i++) printf "%s", piece[i]
    pieces = size = 0
    tally("f 1")
}
# What is counted goes past the text, to whoever adds it up.
function tally(line) { print line | "cat >&5" }
BEGIN { table() }
