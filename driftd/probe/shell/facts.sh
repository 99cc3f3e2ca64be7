# Facts: reads the files that hold them and hands them to facts.awk. A part of collector.sh.
# Where a path of the instance leads, in the variable path: no link leads out of the root.
resolve() {
    path=$root todo=$1 links=0
    while [ -n "$todo" ]; do
        todo=${todo#/}
        part=${todo%%/*}
        todo=${todo#"$part"}
        case $part in
        '' | .) continue ;;
        ..)
            [ "$path" = "$root" ] || path=${path%/*}
            continue
            ;;
        esac
        if [ -L "$path/$part" ]; then
            links=$((links + 1))
            [ "$links" -le 40 ] || return
            target=$(readlink "$path/$part")
            case $target in /*) path=$root ;; esac
            todo=$target$todo
        else
            path=$path/$part
        fi
    done
}

# Prints a file behind a line that names it: WORD KIND PATH. False when it is kept from us.
file() {
    resolve "$3"
    [ -e "$path" ] || return 0
    if [ ! -f "$path" ] || [ "$(stat -L -c %s "$path")" -gt 67108864 ]; then
        echo "=kept $2 not_available $3 cannot be read (no file, or too long)"
        return 1
    elif [ ! -r "$path" ]; then
        echo "=kept $2 not_permitted $3 cannot be read (Permission denied)"
        return 1
    fi
    echo "=$1"
    cat "$path"
    echo
}

# HMAC-SHA-256 of each password's hash with the image's key, behind a line "=digests": the digest, a colon, the hash.
digests() {
    [ -n "$key" ] || return 0
    [ ${#key} -le 256 ] || key=$(sha "$key")
    inner=$(pad 54) outer=$(pad 92)
    echo =digests
    for table in shadow gshadow passwd group; do
        file x account /etc/$table | while IFS=: read -r name secret rest || [ -n "$name" ]; do
            bare=$secret
            while :; do case $bare in [*!]*) bare=${bare#?} ;; *) break ;; esac done
            [ ${#bare} -gt 1 ] || continue
            sum=$(printf "$inner%s" "$secret" | sha256sum)
            sum=$(printf "$outer$(printf '%s\n' "${sum%% *}" | awk "$BYTES"'{ print pairs($0) }')" | sha256sum)
            printf '%.32s:%s\n' "$sum" "$secret"
        done
    done
}
sha() {
    sum=$(printf "$1" | sha256sum)
    printf '%s\n' "${sum%% *}" | awk "$BYTES"'{ print pairs($0) }'
}
pad() {
    printf '%s\n' "$key" | awk -v with="$1" "$BYTES"'{
        for (i = 0; i < 256; i++) number[O[i]] = i
        for (i = 0; i < 64; i++) {
            a = number[substr($0, 4 * i + 1, 4)] + 0
            n = 0
            for (bit = 1; bit < 256; bit *= 2) if (int(a / bit) % 2 != int(with / bit) % 2) n += bit
            out = out O[n]
        }
        print out
    }'
}

facts() {
    digests
    if file passwd account /etc/passwd >/dev/null; then
        file shadow account /etc/shadow || echo '=hidden shadow'
        echo '=looked account'
    fi
    if file group group /etc/group >/dev/null; then
        file gshadow group /etc/gshadow || echo '=hidden gshadow'
        echo '=looked group'
    fi
    file passwd account /etc/passwd
    file group group /etc/group
    if [ -e "$root/var/lib/rpm" ] || [ -e "$root/usr/lib/sysimage/rpm" ]; then
        echo '=kept package not_available the RPM database is not read on a host without Python'
    else
        file dpkg package /var/lib/dpkg/status && echo '=looked package' && file apk package /lib/apk/db/installed
    fi
    for kind in $KINDS; do echo "=kept $kind not_available this host has no Python"; done
    [ -n "$xattr" ] || echo '=kept xattr not_available this host has no getfattr'
    [ -n "$flags" ] || echo '=kept flags not_available this host has no lsattr'
}
write_facts() { facts | awk "$BYTES$FACTS"; }
