# driftd's collector for hosts without Python: looks, answers as docs/wire.md says, and ends. It writes nothing.
# It comes as one text in the variable p (shell.py puts the other files of this directory into it) and reads one
# request from standard input. For any POSIX sh with GNU's or busybox's tools.
set -f
unset IFS ENV BASH_ENV CDPATH TZ QUOTING_STYLE POSIXLY_CORRECT GREP_OPTIONS
LC_ALL=C
PATH=@PATH@
SH=/bin/sh
export LC_ALL PATH
nl='
'
cr=$(printf '\015')
BYTES=@BYTES@
TREE=@TREE@
MOUNTS=@MOUNTS@
REQUEST=@REQUEST@
LINKS=@LINKS@
LISTS=@LISTS@
FACTS=@FACTS@
BATCH=@BATCH@
KINDS='@KINDS@'

# Only the tools of the view below need a mount namespace, and only a private one may be changed.
if [ "$1" != viewed ] && [ "$1" != plain ]; then
    renice -n 10 -p $$ >/dev/null 2>&1
    if unshare -m true >/dev/null 2>&1; then exec unshare -m "$SH" -c "$p" driftd viewed; fi
    set -- plain
fi
viewed=$1

# The bytes that a line of octal() stands for, in the variable raw; the x saves a newline at the end.
raw() {
    raw=$(printf "${1}x")
    raw=${raw%x}
}
# The bytes of $1 as octal() writes them.
octal() { printf '%s' "$1" | od -An -v -to1 | awk '{ for (i = 1; i <= NF; i++) printf "\\%s", $i }'; }
# A frame's text: TAG, then its payload as octal() writes it, or as it is where printf prints it as it is.
message() {
    printf '%s\n' "$2" | awk -v tag="$1" "$BYTES"'
        { put($0, length($0) - 3 * gsub(/\\/, "&")) }
        END { frame(tag); close("cat >&5") }'
}
# Prints what the text of a command stands for. The command runs in a shell of its own.
tell() {
    text=$("$@") || exit
    printf "$text"
}

failed() {
    printf '@MAGIC@'
    tell message E "d6:reason${#1}:$(octal "$1")e" 5>/dev/null
    exit 1
}

# --- the request -----------------------------------------------------------------------------------------------------

ask() {
    head=$(dd bs=1 count=5 2>/dev/null | od -An -v -tu1)
    set -- $head
    [ "$1" = 81 ] && [ $# = 5 ] || failed 'not a request'
    length=$((($2 * 256 + $3) * 65536 + $4 * 256 + $5))
    asked=$(dd bs=1 count=$length 2>/dev/null | od -An -v -tu1 | awk "$BYTES$REQUEST") || failed 'not a request'
    exec </dev/null
    key= nonce= root= schema= skip= facts= sessions= seconds=0 limit=1099511627776
    IFS=$nl
    for line in $asked; do
        value=${line#* }
        case $line in
        'key '*) key=$value ;;
        'nonce '*) nonce=$value ;;
        'root '*) root=$value ;;
        'schema '*) schema=$value ;;
        'skip '*) skip=$skip$nl$value ;;
        'sections \146\141\143\164\163') facts=yes ;;
        'sections \163\145'*) sessions=yes ;;
        'limits.seconds '*) seconds=$value ;;
        'limits.file_bytes '*) limit=$value ;;
        esac
    done
    unset IFS
    [ "$schema" = @SCHEMA@ ] || failed "the request is in schema $schema, this collector speaks @SCHEMA@"
    raw "$root"
    root=$(cd -P "$raw" 2>/dev/null && pwd -P && echo x) || failed 'the directory to look at cannot be opened'
    root=${root%"${nl}x"}
    root=${root%/}
    live=
    [ -n "$root" ] || live=1
    [ -z "$sessions" ] || [ -n "$live" ] || failed 'sessions can be seen on the running machine only'
}

need() {
    for tool in awk cat date dd find grep id od readlink sed sha256sum sleep sort stat tee xargs; do
        command -v $tool >/dev/null || failed "this host has neither Python nor $tool"
    done
    [ "$(stat -c %f /proc/self/fd 2>/dev/null)" ] || failed 'stat has no -c here, or /proc is not mounted'
    multi=$(readlink /proc/self/exe /proc/self/cwd 2>/dev/null) || multi=
    case $multi in *"$nl"*) multi=yes ;; *) multi= ;; esac
    xattr=$(command -v getfattr)
    flags=$(command -v lsattr)
}

# --- the tree --------------------------------------------------------------------------------------------------------

# Frames go to 7, which is the answer; what is counted goes to 5.
count() { printf 'r %s %s\n' "$1" "$2" >&5; }
list() { printf 'q %s %s\n' "$1" "$2" >&5; }

# The program of a batch (batch.sh), in a variable: what find(1) hands on in the environment would count as arguments.
program() {
    program="A='$BYTES$TREE'
nl='$nl' cr='$cr'
base=${#root} walk=$number limit=$limit multi=$multi xattr=$xattr flags=$flags
$BATCH"
}

# A file system whose own mount reads without moving access times, in this mount namespace alone.
view() {
    [ "$viewed" = viewed ] && mount -o remount,bind,ro,noatime "$1" >/dev/null 2>&1 ||
        count 1 'seen without a private view, so that atimes may move'
}

# Walk from START (its PATTERN, "" for the root itself, whose own entry comes, too).
walk() {
    start=$1 own=$2
    number=$((number + 1))
    program
    set --
    [ -z "$own" ] || { raw "$own" && set -- -path "$raw" -o; }
    IFS=$nl
    for line in $skips; do
        raw "$line"
        set -- "$@" -path "$raw" -prune -exec "$SH" -c 'echo r 1 skipped: asked to leave out >&5' \; -o
    done
    for line in $odd_points; do
        raw "$line"
        set -- "$@" -path "$raw" -o
    done
    for line in $gone; do
        raw "$line"
        set -- "$@" -path "$raw" -prune -o
    done
    # Not into these, but they are names as others: true, pruned, and then not true.
    for line in $points; do
        [ "$line" != "$own" ] || continue
        raw "$line"
        set -- "$@" -path "$raw" -prune ! -path '*' -o
    done
    unset IFS
    # Not by "-exec ... +": busybox gives its commands more arguments than they can take.
    errors=$({
        find "$start" "$@" -type d -path "$deep" -prune ! -path '*' -o -print0 2>&8 |
            xargs -0 -s 120000 "$SH" -c "$program" batch >&7 2>&8 || echo 'the batches could not all be looked at' >&8
    } 8>&1)
    IFS=$nl
    for line in $errors; do
        # What an ordinary user may not list is in the coverage by a test of its own (batch.sh); what is gone is gone.
        case $line in
        *': Permission denied') [ "$uid" = 0 ] || continue ;;
        *': No such file or directory') continue ;;
        esac
        count 1 'unreadable: find could not go on everywhere'
        own=$(octal "${start#"$root"}")
        list unreadable "${own:-\057}"
        break
    done
    unset IFS
}

# Names that are looked at one by one.
singly() { "$SH" -c "$program" o "$@" >&7; }

tree() {
    uid=$(id -u)
    number=0 points= odd_points= gone= skips=
    deep=?
    while [ ${#deep} -lt 3840 ]; do deep=$deep$deep; done
    deep=$(printf '%.3840s*' "$deep")
    outside=$(octal "$root")
    [ -z "$skip" ] || skips=$(printf '%s\n' "$skip" | awk -v root="$outside" "$BYTES"'NF { print pattern(root plain($0)) }')
    mounted=$(awk -v root="$outside" -v kinds='@PERSISTENT@' -v kernels='@IN_KERNEL@' "$BYTES$MOUNTS" </proc/self/mountinfo 5>/dev/null) ||
        count 1 'not available: what is mounted'
    if [ -n "$live" ]; then
        view /
    elif [ "$viewed" = viewed ] && mount --rbind "$root" "$root" 2>/dev/null; then
        view "$root"
    fi
    covers "$mounted"
    walk "${root:-/}" ''
    IFS=$nl
    for line in $mounted; do
        unset IFS
        set -- $line
        if left_out "$2"; then continue; fi
        case $1 in
        w)
            raw "$2"
            [ -d "$raw" ] || continue
            view "$raw"
            walk "$raw" "$3"
            ;;
        x)
            raw "$2"
            number=$((number + 1))
            program
            singly "$raw"
            ;;
        esac
    done
    unset IFS
}

# Whether PATH (octal) is one that is to be left out, or below one: no mount there is met, as nothing leads to it.
left_out() {
    IFS=$nl
    for one in $skip; do
        case "$1\\057" in "$outside$one\057"*) unset IFS; return 0 ;; esac
    done
    unset IFS
    return 1
}

cover() {
    list covered "$(printf '%s' "$1" | awk -v n=$((${#root} * 4)) '{ print substr($0, n + 1) }')"
    count 1 'covered: beneath a mount'
}

# Sorts out what is mounted: patterns of directories and of others, what covers what, what is not looked at.
covers() {
    IFS=$nl
    for line in $1; do
        unset IFS
        set -- $line
        case $1 in
        h) [ "$2" = 0 ] || count "$2" 'skipped: mount covered by another mount' ;;
        z)
            # In this namespace alone it can be taken away; elsewhere find(1) is kept from it as well as it can be.
            raw "$3"
            if [ "$viewed" = viewed ] && umount -n -l "$raw" 2>/dev/null; then
                points=$points$nl$2
            else
                gone=$gone$nl$2
            fi
            cover "$3"
            ;;
        b)
            count 1 'skipped: mount below one whose server may not answer'
            list mounted "$2"
            ;;
        m)
            count 1 "skipped: $2 file system"
            list mounted "$3"
            ;;
        p)
            raw "$3"
            if [ -d "$raw" ]; then points=$points$nl$2; else odd_points=$odd_points$nl$2; fi
            ;;
        c)
            raw "$2"
            if [ -d "$raw" ]; then
                cover "$2"
            elif [ -e "$raw" ]; then
                count 1 'hidden: a file beneath a mounted file'
                number=$((number + 1))
                program
                singly "$raw"
            fi
            ;;
        esac
    done
    unset IFS
}

# Those that were not still, or whose names came in no order, by themselves.
again() {
    number=
    set --
    while IFS= read -r line; do
        if [ $# -ge 100 ] || [ "${line%% *}" != "$number" ]; then
            [ $# = 0 ] || singly "$@"
            set --
            number=${line%% *}
            program
        fi
        set -- "$@" "${line#* }"
    done
    [ $# = 0 ] || singly "$@"
}

# --- facts -----------------------------------------------------------------------------------------------------------

@facts.sh@

SESSIONS='d4:keptll7:session13:not available46:nothing reads the log on a host without Pythonee8:sessionslee'

# --- the answer ------------------------------------------------------------------------------------------------------

hello() {
    boot=
    if [ -n "$live" ]; then
        read -r id </proc/sys/kernel/random/boot_id || id=unknown
        # The start of PID 1, in hundredths of a second; its name may hold anything, brackets included.
        ticks=$(sed -n 's/^.*) //p' /proc/1/stat 2>/dev/null | awk '{ print $20 }')
        since=$(awk '/^btime / { print $2 }' /proc/stat)
        [ -z "$ticks" ] || boot="7:boot_id$((${#id} + 1 + ${#ticks})):$id/${ticks}9:booted_ati$((since + ticks / 100))e"
    fi
    message H "d${boot}5:clocki$(date +%s)e4:livei${live:-0}e5:nonce$((${#nonce} / 4)):${nonce}6:schemai@SCHEMA@e5:shell2:sh3:uidi$(id -u)ee"
}

# Extended attributes named trusted.* are shown to CAP_SYS_ADMIN outside user namespaces alone.
trusted() {
    [ -n "$xattr" ] || { count 1 'not available: extended attributes, for want of getfattr'; return; }
    read -r first second third </proc/self/uid_map
    [ "$first $second $third" = '0 0 4294967295' ] && awk '/^CapEff:/ {
        digit = index("0123456789abcdef", substr($2, length($2) - 5, 1)) - 1
        exit int(digit / 2) % 2 ? 0 : 1
    }' /proc/self/status || count 1 'not permitted: extended attributes named trusted.*'
}

links() { printf '%s\n' "$1" | grep '^K ' | sort | awk "$BYTES$LINKS"; }
lists() { printf '%s\n' "$1" | sed -n 's/^q //p' | sort | awk -v tag=C "$BYTES$LISTS"; }
reasons() {
    printf '%s\n' "$1" | sed -n 's/^r //p' |
        awk '{ n = $1; sub(/^[0-9]+ /, ""); number[$0] += n } END { for (reason in number) print reason "\t" number[reason] }' |
        sort | awk -F '\t' "$BYTES"'
            BEGIN { mark("d7:reasonsd") }
            { string($1); mark("i" $2 "e") }
            END { mark("ee"); frame("C"); close("cat >&5") }'
}

# Everything between the magic bytes and the trailer; the trailer's counts go to 6.
collect() {
    exec 7>&1
    seen=$({
        printf '@MAGIC@'
        tell hello
        tree
        trusted
    } 5>&1 >&7) || exit
    seen=$seen$nl$(printf '%s\n' "$seen" | sed -n 's/^R //p' | again 5>&1 >&7) || exit
    seen=$seen$nl$({
        tell links "$seen"
        [ -z "$facts" ] || tell write_facts
        [ -z "$sessions" ] || { tell message S "$SESSIONS" && echo n kept 1 >&5; }
        tell lists "$seen"
    } 5>&1 >&7) || exit
    seen=$seen$nl$(tell reasons "$seen" 5>&1 >&7) || exit
    printf '%s\n' "$seen" | awk '
        { total[$1 == "n" ? $2 : $1] += $1 == "n" ? $3 : $2 }
        function number(key, n) { printf "%d:%si%.0fe", length(key), key, n }
        END {
            printf "d"
            number("bytes_hashed", total["b"])
            number("clues", 0)
            number("covered", total["covered"])
            number("entries", total["e"])
            number("facts", total["facts"])
            number("frames", total["f"])
            number("kept", total["kept"])
            number("links", total["l"])
            number("looked", total["looked"])
            number("mounted", total["mounted"])
            number("opened", 0)
            number("reads", 0)
            number("sessions", 0)
            number("unreadable", total["u"] + total["unreadable"])
            printf "e"
        }' >&6
}

# The processes below $1 as they are now, apart from those below $2. Process groups are no help: a server may have its
# own processes in ours.
below() {
    set +f
    cat /proc/[0-9]*/stat 2>/dev/null | sed -n 's/^\([0-9]*\) (.*) . \([0-9]*\) .*/\1 \2/p' | awk -v top="$1" -v but="$2" '
        { above[$1] = $2 }
        END {
            for (one in above) {
                for (at = one; at in above && at != top && at != but; at = above[at]) continue
                if (at == top && one != top) print one
            }
        }'
}

# Ends what is running here when the time is over; ends itself, and its sleep, when that was not needed.
guard() {
    [ "$seconds" -gt 0 ] || return
    (
        trap 'kill $sleep; exit' TERM
        sleep "$seconds" &
        sleep=$!
        wait $sleep || exit
        self=$("$SH" -c 'echo $PPID')
        kill -KILL $$ $(below $$ "$self")
    ) >/dev/null 2>&1 &
    guard=$!
}

ask 5>/dev/null
need 5>/dev/null
guard=
guard
exec 3>&1
# tee writes to the connection (3) and to sha256sum (4), which then gets the counts; they also come to us (9).
out=$({
    {
        counts=$({ collect 6>&8 | tee /proc/self/fd/4 >&3; } 8>&1)
        printf %s "$counts" >&4
        printf '%s ' "$counts" >&9
    } 4>&1 | sha256sum
} 9>&1)
[ -z "$guard" ] || kill "$guard"
set -- $out
[ $# = 3 ] || exit 1
sum=$(printf '%s\n' "$2" | awk "$BYTES"'{ print pairs($0) }')
tell message Z "d6:counts${1}6:sha25632:${sum}e" 5>/dev/null
