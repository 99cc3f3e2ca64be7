# Facts (docs/facts.md) from the files that hold them. Each file stands behind a line "=WORD"; whole is what was kept.
# Lines between: "=looked KIND", "=kept KIND HOW WHY" (words joined by "_").

function field(name, value) {
    if (value == "") return
    string(name)
    if (length(value) > 16384) value = substr(value, 1, 256) "... " length(value) " bytes"
    string(value)
}
function begin(kind, name) {
    if (!size) mark("d5:factsl")
    mark("l")
    string(kind)
    string(name)
    mark("d")
    facts++
}
function finish() {
    mark("ee")
    if (size > 262144) close_message()
}
function close_message() {
    mark("ee")
    frame("F")
}

# --- packages --------------------------------------------------------------------------------------------------------

function package(  word, n) {
    n = split(status, word, " ")
    if (name != "" && (source == "apk" || (n == 3 && index(" installed triggers-awaited triggers-pending half-installed unpacked half-configured ", " " word[3] " ")))) {
        begin("package", name (arch == "" ? "" : ":" arch))
        field("source", source)
        if (source == "dpkg" && word[3] ~ /^half|^unpacked/) field("state", word[3])
        field("version", version)
        finish()
    }
    name = status = arch = version = ""
}
function value(line) {
    line = substr(line, index(line, ":") + 1)
    gsub("^[ \t\r]+|[ \t\r]+$", "", line)
    return line
}

# --- accounts --------------------------------------------------------------------------------------------------------

function is_id(text) { return text ~ /^[0-9]+$/ && length(text) <= 10 && text < 4294967296 }
function ids(text, name) { return is_id(text) || (name ~ /^[+-]/ && text == "") }
function password(secret) { return secret == "" ? "empty" : secret ~ /^[!*]/ ? "locked" : "set" }
function keyed(secret) { return secret in digest ? digest[secret] : "" }
function number(text) { sub(/^0+/, "", text); return text }
function id(text) { return text ~ /^0+$/ ? "0" : number(text) }
function sorted(list,  n, i, j, at, part, out) {
    n = split(list, part, ",")
    for (i = 2; i <= n; i++) {
        at = part[i]
        for (j = i; j > 1 && part[j - 1] "" > at ""; j--) part[j] = part[j - 1]
        part[j] = at
    }
    for (i = 1; i <= n; i++) if (part[i] != "" && (i == 1 || part[i] "" != part[i - 1] "")) out = out (out == "" ? "" : ",") part[i]
    return out
}
# What the dates of a row of shadow(5) do to logging in.
function aging(row,  s, n) {
    n = split(row, s, ":")
    if (s[3] == "0") return "must be changed at the next login"
    if (s[5] !~ /^[0-9]+$/ || length(s[5]) > 9 || s[5] >= 10000) return ""
    return "changed on day " s[3] ", good for " s[5] " days" (s[7] == "" ? "" : " and " s[7] " more")
}
function secret_of(text, rows, name,  s) {
    if (text != "x") return text
    if (!(name in rows)) return "*"
    split(rows[name], s, ":")
    return s[2]
}
function account(  f, s, row, secret) {
    if (split($0, f, ":") != 7 || !ids(f[3], f[1]) || !ids(f[4], f[1])) { odd["account"]++; return }
    secret = secret_of(f[2], shadow, f[1])
    row = f[2] == "x" && f[1] in shadow ? shadow[f[1]] : ""
    split(row, s, ":")
    begin("account", f[1])
    field("aging", row == "" ? "" : aging(row))
    field("digest", keyed(secret))
    field("expires", s[8])
    field("gecos", f[5])
    field("gid", id(f[4]))
    field("home", f[6])
    field("password", hidden["shadow"] && f[2] == "x" ? "unreadable" : password(secret))
    field("shell", f[7])
    field("uid", id(f[3]))
    finish()
}
function group(  f, s, secret, state) {
    if (split($0, f, ":") != 4 || !ids(f[3], f[1])) { odd["group"]++; return }
    secret = secret_of(f[2], gshadow, f[1])
    split(f[2] == "x" && f[1] in gshadow ? gshadow[f[1]] : "", s, ":")
    state = hidden["gshadow"] && f[2] == "x" ? "unreadable" : password(secret)
    begin("group", f[1])
    field("admins", sorted(s[3]))
    field("digest", keyed(secret))
    field("gid", id(f[3]))
    field("members", sorted(f[4]))
    field("password", state ~ /^(locked|empty)$/ ? "" : state)
    finish()
}

# --- the files -------------------------------------------------------------------------------------------------------

/^=[a-z]+( |$)/ {
    package()
    part = substr($1, 2)
    source = part
    if (part == "looked") looked[++kinds] = $2
    if (part == "hidden") hidden[$2] = 1
    if (part == "kept") { kept[++keeps] = $0; next }
    next
}
part == "digests" { digest[substr($0, 34)] = substr($0, 1, 32); next }
(part == "dpkg" || part == "apk") && $0 ~ "^[ \t\r]*$" { package(); next }
part == "dpkg" {
    key = tolower(substr($0, 1, index($0, ":") - 1))
    sub("[ \t]+$", "", key)
    if (key == "package" && name == "") name = value($0)
    else if (key == "status" && status == "") status = value($0)
    else if (key == "version" && version == "") version = value($0)
    else if (key == "architecture" && arch == "") arch = value($0)
    next
}
part == "apk" {
    if (/^P:/) name = substr($0, 3)
    else if (/^V:/) version = substr($0, 3)
    else if (/^A:/) arch = substr($0, 3)
    next
}
part ~ /^g?shadow$/ {
    if ($0 ~ "^[ \t]*$|^#") next
    row_of = substr($0, 1, index($0 ":", ":") - 1)
    if (part == "shadow") { if (!(row_of in shadow)) shadow[row_of] = $0 }
    else if (!(row_of in gshadow)) gshadow[row_of] = $0
    next
}
part == "passwd" && $0 !~ "^[ \t]*$|^#" { account() }
part == "group" && $0 !~ "^[ \t]*$|^#" { group() }
END {
    package()
    if (size) close_message()
    mark("d4:keptl")
    for (kind in odd) kept[++keeps] = "=kept " kind " not_available " odd[kind] " lines are not in the table's format"
    for (i = 1; i <= keeps; i++) {
        split(kept[i], word, " ")
        mark("l")
        string(word[2])
        how = word[3]
        gsub("_", " ", how)
        string(how)
        string(substr(kept[i], length(word[1] word[2] word[3]) + 4))
        mark("e")
    }
    mark("e")
    string("looked")
    mark("l")
    for (i = 1; i <= kinds; i++) string(looked[i])
    mark("ee")
    frame("F")
    tally("n facts " facts + 0)
    tally("n kept " keeps + 0)
    tally("n looked " kinds + 0)
    close("cat >&5")
}
