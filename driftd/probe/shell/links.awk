# Groups of hard links from sorted lines "K KEY PATH", paths as octal(): their order is that of the bytes.

function finish() {
    if (members > 1) {
        if (written) mark("e")
        links += members
    }
    members = written = 0
}
function member(path) {
    string(plain(path))
}
$2 != key {
    finish()
    key = $2
    smallest = $3
    members = 1
    next
}
{
    if (!written) {
        if (!size) mark("l")
        mark("l")
        member(smallest)
        written = 1
    }
    member($3)
    members++
    if (size > 262144) {
        mark("ee")
        frame("L")
        written = 0
    }
}
END {
    finish()
    if (size) {
        mark("e")
        frame("L")
    }
    tally("l " links + 0)
    close("cat >&5")
}
