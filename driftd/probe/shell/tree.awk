# What the tools said of one batch of names, as directory blocks (docs/wire.md). The parts come in this order, each
# behind a line "=LETTER": N names, A stat, H sha256sum, T targets of links, B stat again, X getfattr, V lsattr,
# U what cannot be read. Names here hold no newline, backslash or carriage return; those that do come one by one (O).
# Variables: base (bytes of the path that are not the instance's), walk (which file system), kind (batch.sh).

function stat_line(line, fields, times,  i, j, k, rest) {
    i = index(line, "|")
    rest = substr(line, i + 1)
    j = index(rest, "|")
    k = j + index(substr(rest, j + 1), "|")
    fields[substr(rest, k + 1)] = substr(line, 1, i - 1)
    times[substr(rest, k + 1)] = substr(rest, 1, k)
}

# --- blocks ----------------------------------------------------------------------------------------------------------

function close_block(  i, bytes) {
    if (!rows) return
    bytes = 8 + length(block_of) + row_bytes
    put(u32(bytes) u32(length(block_of)) esc(block_of) u32(rows), 4 + bytes - row_bytes)
    for (i = 1; i <= rows; i++) put(row[i])
    size += row_bytes
    rows = row_bytes = 0
    if (size > 262144) frame("P")
}
function add(path, body, bytes,  above, name) {
    above = ""
    name = path
    if (path != "/") {
        match(path, "[^/]*$")
        name = substr(path, RSTART)
        above = RSTART > 2 ? substr(path, 1, RSTART - 2) : "/"
    }
    if (above != block_of || !(name "" > last_name "") || rows > 4000 || row_bytes > 131072) close_block()
    block_of = above
    last_name = name
    row[++rows] = u16(length(name)) esc(name) body
    row_bytes += 2 + length(name) + bytes
    entries++
}

# --- entries ---------------------------------------------------------------------------------------------------------

function letter_of(mode) { return substr("-pc-d-b-f-l-s", int(mode / 4096) + 1, 1) }

function shown(name) {
    name = substr(name, base + 1)
    return name == "" ? "/" : name
}

# fields: mode uid gid size links major minor device:inode
function entry(name, fields, digest, target, target_bytes,  f, mode, kind, text, bytes, path) {
    split(fields, f, " ")
    mode = hex(f[1])
    kind = letter_of(mode)
    path = shown(name)
    text = kind u16(mode % 4096) u32(f[2]) u32(f[3]) O[(kind == "f" || kind == "d") ? flags[name] + 0 : 0]
    bytes = 12
    if (kind == "f") {
        text = text u64(f[4]) (digest == "" ? O[0] : O[32] pairs(digest))
        bytes += 9 + (digest == "" ? 0 : 32)
        if (digest != "") hashed += f[4]
    } else if (kind == "l") {
        text = text u32(target_bytes) target
        bytes += 4 + target_bytes
    } else if (kind == "c" || kind == "b") {
        text = text u32(hex(f[6])) u32(hex(f[7]))
        bytes += 8
    }
    text = text attributes(name)
    add(path, text, bytes + attribute_bytes)
    if (kind != "d" && f[5] > 1) tally("K " walk ":" f[8] " " octal(path))
}
function attributes(name,  n, i, j, at, key, value, out) {
    n = xattrs[name] + 0
    for (i = 1; i <= n; i++) order[i] = i
    for (i = 2; i <= n; i++) {
        at = order[i]
        for (j = i; j > 1 && xattr[name, order[j - 1]] "" > xattr[name, at] ""; j--) order[j] = order[j - 1]
        order[j] = at
    }
    attribute_bytes = 2
    out = u16(n)
    for (i = 1; i <= n; i++) {
        key = xattr[name, order[i]]
        value = xattr_value[name, order[i]]
        out = out u16(length(key)) esc(key) u32(length(value) / 2) pairs(value)
        attribute_bytes += 6 + length(key) + length(value) / 2
    }
    return out
}
function not_read(name, why) {
    unread[++unreadable] = shown(name)
    tally("r 1 unreadable: " why)
}

# --- what the tools say ----------------------------------------------------------------------------------------------

# getfattr's escapes: a backslash and three octal digits.
function unquoted(s,  out, i) {
    while (i = index(s, "\\")) {
        out = out substr(s, 1, i - 1) R[substr(s, i + 1, 3)]
        s = substr(s, i + 4)
    }
    return out s
}
function attribute(line,  i, key, n) {
    i = index(line, "=")
    key = unquoted(i ? substr(line, 1, i - 1) : line)
    if (index(key, "trusted.overlay.") == 1 || index(key, "user.overlay.") == 1) return
    n = ++xattrs[subject]
    xattr[subject, n] = key
    xattr_value[subject, n] = i ? substr(line, i + 3) : ""
}
function flag_line(name, words) {
    flags[name] = (index(words, "i") ? 1 : 0) + (index(words, "a") ? 2 : 0)
}

part == "T" && targets < names { target[name[++targets]] = $0; next }
/^=[A-Z]$/ {
    part = substr($0, 2)
    if (part == "O") { lines = 0; one_name = one_target = subject = ""; delete xattrs; delete flags }
    if (part == "E") one()
    next
}
part == "N" { name[++names] = $0; next }
part == "A" { stat_line($0, first, first_times); next }
part == "H" { digest[substr($0, 67)] = substr($0, 1, 64); next }
part == "B" { stat_line($0, second, second_times); next }
part == "X" && /^# file: / { if (!lines) subject = unquoted(substr($0, 9)); next }
part == "X" && length($0) { attribute($0); next }
part == "V" { if (lines) { if (lines == 2) flag_line("", $1); lines = 3 } else flag_line(substr($0, index($0, " ") + 1), $1); next }
part == "U" { not_read(substr($0, index($0, "/")), substr($0, 1, index($0, "/") - 2)); next }
part == "O" && lines < 2 { said[++lines] = $0; next }
part == "O" { one_name = one_name " " $0; next }
part == "P" { one_target = one_target " " $0; next }

# One name that was looked at by itself: its stat, and how reading it went.
function one(  path, how, fields) {
    path = plain(one_name)
    fields = substr(said[1], 1, index(said[1], "|") - 1)
    how = said[2]
    if (xattrs[""]) {
        xattrs[path] = xattrs[""]
        for (lines = 1; lines <= xattrs[path]; lines++) {
            xattr[path, lines] = xattr["", lines]
            xattr_value[path, lines] = xattr_value["", lines]
        }
    }
    flags[path] = flags[""]
    if (how !~ /^[0-9a-f]*$/ || (how == "" && fields ~ /^8/)) {
        not_read(path, how == "" ? "sha256sum could not read it" : how)
        how = ""
    }
    one_target = plain(one_target)
    if (fields != "") entry(path, fields, how, esc(one_target), length(one_target))
}

# The targets are those of the names in their order only if each is as long as its link says: a target with a newline
# in it, and a link that went in the meantime, leave a line that is not.
function aligned(  i, f) {
    for (i = 1; i <= names; i++) {
        split(first[name[i]], f, " ")
        if (!(name[i] in second) || f[4] != length(target[name[i]])) return 0
    }
    return 1
}
function same(path,  a, b) {
    split(first[path], a, " ")
    split(second[path], b, " ")
    return a[8] == b[8] && a[4] == b[4] && first_times[path] == second_times[path]
}
END {
    whole = kind != "l" || aligned()
    for (i = 1; i <= names; i++) {
        path = name[i]
        if (!whole || !(path in first) || (kind ~ /[fl]/ && !same(path))) { tally("R " walk " " path); continue }
        if (kind == "f" && !(path in digest)) not_read(path, "sha256sum could not read it")
        entry(path, first[path], digest[path], esc(target[path]), length(target[path]))
    }
    close_block()
    if (size) frame("P")
    if (unreadable) {
        mark("d10:unreadablel")
        for (i = 1; i <= unreadable; i++) string(unread[i])
        mark("ee")
        frame("C")
        tally("u " unreadable)
    }
    tally("e " entries + 0)
    tally("b " sprintf("%.0f", hashed))
    close("cat >&5")
}
