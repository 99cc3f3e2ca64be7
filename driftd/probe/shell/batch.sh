# What find(1) starts for each batch of names: $0 says of which kind they are, the names are the arguments.
# f files, g files over the limit, l links, d directories, s everything else, o odd names and those that were not
# still the first time. The answer is frames on standard output; what is counted goes to descriptor 5.
# The program's beginning sets base, walk, limit, multi (readlink takes several names), xattr and flags (tools there).
trap '' PIPE
S='%f %u %g %s %h %t %T %d:%i|%y|%z|'

attributes() {
    echo =X
    [ -z "$xattr" ] || getfattr -h -d -m - -e hex --absolute-names "$@"
    echo =V
    case $0 in [fgdo]) [ -z "$flags" ] || lsattr -d "$@" ;; esac
}

batch() {
    echo =N
    printf '%s\n' "$@"
    echo =A
    stat -c "$S%n" "$@"
    case $0 in
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
            elif ! { [ -r "$path" ] && [ -x "$path" ]; }; then
                printf '%s %s\n' 'Permission denied' "$path"
            fi
        done
        ;;
    esac
    case $0 in [fl])
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
            before=
            how='Permission denied'
            case $why in *"$how"*) ;; *) how='something in it could not be seen' ;; esac
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
            elif ! { [ -r "$path" ] && [ -x "$path" ]; }; then
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

if [ "$0" = o ]; then
    text=$(for name; do one "$name"; done 2>/dev/null | awk -v base="$base" -v walk="$walk" "$A")
else
    text=$(batch "$@" 2>/dev/null | awk -v kind="$0" -v base="$base" -v walk="$walk" "$A")
fi || exit
# Nobody listens any more: let find(1) end, too.
printf "$text" || kill "$PPID"
