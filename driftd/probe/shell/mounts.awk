# What find(1) and the answer have to know of what is mounted, from a mountinfo file (proc_pid_mountinfo(5)).
# Variables: root ("" for the machine's own tree, else where the tree is), kinds (persistent file systems), kernels (those
# that the kernel can describe by itself; every other kind may have a server that never answers).
# Lines, paths as octal():  h N: so many mounts are covered by others.  p PATTERN PATH: something is mounted there.
# w PATH PATTERN: walk that file system, too.  m KIND PATH: a file system that is not looked at (b PATH: because it lies below one of z).  c PATH: covers a directory of
# a file system that is walked.  z PATTERN PATH: the same, and not to be touched.  x PATH: to be described, although it lies on a file system that is not walked.

function below(path, above) { return path != above && (above == "/" || index(path, above "/") == 1) }
function parent(path) {
    match(path, "/[^/]*$")
    return RSTART > 1 ? substr(path, 1, RSTART - 1) : "/"
}
function is_covered(path, mount,  i, n, part) {
    n = split(kids[mount], part, " ")
    for (i = 1; i <= n; i++) if (part[i] != mount && point[part[i]] != "/" && below(path, point[part[i]])) return 1
    return 0
}
function hangs(path) { return path != "/" && !(shown[path] in persistent) && !(shown[path] in kernel) }
function is_below_hanging(path,  at) {
    for (at in hanging) if (below(path, at)) return 1
    return 0
}
function walked(path) { return path == "/" || shown[path] in persistent }
# Whether its name is met in a file system that is walked: the one that its parent lies on.
function reached(path,  at) {
    for (at = parent(path); at != "/" && !(at in shown); at = parent(at)) continue
    return walked(at)
}
function unescaped(s,  out, i) {
    while (i = index(s, "\\")) {
        out = out substr(s, 1, i - 1) R[substr(s, i + 1, 3)]
        s = substr(s, i + 4)
    }
    return out s
}
{
    for (i = 7; i <= NF && $i != "-"; i++) continue
    if (i >= NF || $1 !~ /^[0-9]+$/ || $2 !~ /^[0-9]+$/) next
    mounts++
    point[$1] = unescaped($5)
    above[$1] = $2
    type[$1] = $(i + 1)
    kids[$2] = kids[$2] " " $1
}
END {
    n = split(kinds, part, " ")
    for (i = 1; i <= n; i++) persistent[part[i]]
    n = split(kernels, part, " ")
    for (i = 1; i <= n; i++) kernel[part[i]]
    for (id in point) if (!(above[id] in point) || above[id] == id) todo[++left] = id
    while (left) {
        id = todo[left--]
        if (!(point[id] in shown)) seen++
        shown[point[id]] = type[id]
        n = split(kids[id], part, " ")
        for (i = 1; i <= n; i++) if (part[i] != id && !is_covered(point[part[i]], id)) todo[++left] = part[i]
    }
    for (path in shown) if (hangs(path)) hanging[path]
    if (root != "") {
        for (path in shown) if (below(path, root) && !is_below_hanging(path)) points(path)
        exit
    }
    print "h " mounts - seen
    for (path in shown) {
        if (path == "/") continue
        if (is_below_hanging(path)) { print "b " octal(path); continue }
        points(path)
        if (!walked(path)) { print "m " esc(shown[path]) " " octal(path); continue }
        print "w " octal(path) " " pattern(path)
        for (at = path; at != "/" && !reached(at) && !(at in extra); at = parent(at)) { extra[at]; print "x " octal(at) }
    }
}
function points(path) {
    if (path in hanging) { print "z " pattern(path) " " octal(path); return }
    print "p " pattern(path) " " octal(path)
    if (root != "" || reached(path)) print "c " octal(path)
}
