# What xargs(1) starts for each batch of names, its arguments. With $0 "o" each is looked at by itself; else they are
# sorted into f files, l links, d directories, s everything else, and those that have to be looked at singly: odd names,
# and whatever was not still. The answer is frames on standard output; what is counted goes to descriptor 5.
# The program's beginning sets base, walk, limit, cr, multi (readlink takes several names), xattr and flags (tools there).
trap '' PIPE
S='%f %u %g %s %h %t %T %d:%i|%y|%z|'

attributes() {
    echo =X
    [ -z "$xattr" ] || getfattr -h -d -m - -e hex --absolute-names "$@"
    echo =V
    case $kind in [fdo]) [ -z "$flags" ] || lsattr -d "$@" ;; esac
}

batch() {
    echo =N
    printf '%s\n' "$@"
    echo =A
    stat -c "$S%n" "$@"
    case $kind in
    f)
        echo =H
        sha256sum "$@"
        ;;
    l)
        echo =T
        if [ -n "$multi" ]; then readlink "$@"; else for path; do readlink "$path"; done; fi
        ;;
    d)
        echo =U
        for path; do
            # A directory with r and without x lists names, and nothing behind them can be seen.
            if [ "${#path}" -ge 3840 ]; then
                printf '%s %s\n' 'path longer than 3840 bytes' "$path"
            elif ! { [ -r "$path" ] && [ -e "$path/." ]; }; then
                printf '%s %s\n' 'Permission denied' "$path"
            fi
        done
        ;;
    esac
    case $kind in [fl])
        echo =B
        stat -c "$S%n" "$@"
        ;;
    esac
    attributes "$@"
}

# One name by itself, whatever is in it; up to three times if it changes while it is read.
one() {
    path=$1
    attempt=1
    while :; do
        link=
        how=
        if ! before=$(stat -c "$S" "$path" 2>/dev/null); then
            why=$(stat -c "$S" "$path" 2>&1 >/dev/null)
            case $why in *'No such file'* | *'Not a directory'*) return ;; esac
            path=${path%/*}
            # A directory that lets nobody through is reported as such when its own turn comes.
            [ -e "$path/." ] || return
            before=
            how='something in it could not be seen'
            break
        fi
        case $before in
        8*)
            set -- $before
            if [ "$4" -gt "$limit" ]; then
                how='larger than the limit'
            else
                how=$({ sha256sum <"$path"; } 2>/dev/null)
                how=${how%% *}
            fi
            ;;
        a*) link=$(readlink -n "$path" 2>/dev/null | od -An -v -to1) ;;
        4*)
            if [ "${#path}" -ge 3840 ]; then
                how='path longer than 3840 bytes'
            elif ! { [ -r "$path" ] && [ -e "$path/." ]; }; then
                how='Permission denied'
            fi
            ;;
        esac
        after=$(stat -c "$S" "$path" 2>/dev/null)
        [ "$before" != "$after" ] || break
        if [ "$attempt" = 3 ]; then
            # Touching a file for ever must not hide what it holds.
            case $before in [8a]*) [ "${before%%|*}" = "${after%%|*}" ] || how='changed while read' ;; esac
            break
        fi
        attempt=$((attempt + 1))
    done
    printf '=O\n%s\n%s\n' "$before" "$how"
    printf '%s' "$path" | od -An -v -to1
    printf '=P\n%s\n' "$link"
    [ -z "$before" ] || attributes "$path"
    echo =E
}

singly() {
    kind=o
    for name; do one "$name"; done 2>/dev/null | awk -v base="$base" -v walk="$walk" "$A"
}
# The names that $2 lists, as words of the form "${12}", out of all the others; $1 says of which kind they are.
some() {
    kind=$1 words=$2
    shift 2
    [ -n "$words" ] || return 0
    eval "set -- $words"
    # What is too large to be hashed is found out one by one; it is rare.
    if [ "$kind" = f ] && [ -n "$(find "$@" -prune -size +"$limit"c -print 2>/dev/null)" ]; then
        singly "$@"
    elif [ "$kind" = o ]; then
        singly "$@"
    else
        batch "$@" 2>/dev/null | awk -v kind="$kind" -v base="$base" -v walk="$walk" "$A"
    fi
}
sort_out() {
    n=0 files= links= directories= specials= odd=
    for name; do
        n=$((n + 1))
        word=" \"\${$n}\""
        case $name in *"$nl"* | *"$cr"* | *\\*)
            odd=$odd$word
            continue
            ;;
        esac
        if [ -L "$name" ]; then
            links=$links$word
        elif [ -f "$name" ]; then
            files=$files$word
        elif [ -d "$name" ]; then
            directories=$directories$word
        else
            specials=$specials$word
        fi
    done
    # Directories first, so that one comes before what is in it.
    some d "$directories" "$@" && some f "$files" "$@" && some l "$links" "$@" && some s "$specials" "$@" &&
        some o "$odd" "$@"
}

[ $# -gt 0 ] || exit 0
if [ "$0" = o ]; then text=$(singly "$@"); else text=$(sort_out "$@"); fi || exit
# Nobody listens any more: let xargs(1) end, too.
printf "$text" || kill "$PPID"
