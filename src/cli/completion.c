/* osm completion: the scripts that shells load. All ask `osm __complete` for what fits. */
#include <stdio.h>
#include <string.h>

#include "cli/complete.h"

static const char bash[] =
    "# bash completion of osm. Load it with: source <(osm completion bash)\n"
    "_osm() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} word\n"
    "    local -a words\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    local last=${words[-1]}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r word; do\n"
    "        word=${word%%$'\\t'*}\n"
    "        if [[ $word == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"${last#*=}\")\n"
    "        else\n"
    "            # What is before the = isn't part of the word that bash completes.\n"
    "            [[ $last == *=* ]] && word=${word#*=}\n"
    "            COMPREPLY+=(\"$word\")\n"
    "        fi\n"
    "    done < <(osm __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _osm osm\n";

static const char zsh[] =
    "#compdef osm\n"
    "# zsh completion of osm. Load it with: source <(osm completion zsh)\n"
    "_osm() {\n"
    "    local line\n"
    "    local -a found\n"
    "    for line in \"${(@f)$(osm __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            _files\n"
    "        elif [[ -n $line ]]; then\n"
    "            local word=${line%%$'\\t'*} help=''\n"
    "            [[ $line == *$'\\t'* ]] && help=\":${line#*$'\\t'}\"\n"
    "            found+=(\"${word//:/\\\\:}$help\")\n"
    "        fi\n"
    "    done\n"
    "    (( ${#found} )) && _describe -o osm found\n"
    "}\n"
    "compdef _osm osm\n";

static const char fish[] = "# fish completion of osm. Load it with: osm completion fish | source\n"
                           "function __osm_complete\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    for line in (osm __complete -- $words[2..-1] 2>/dev/null)\n"
                           "        if test \"$line\" = :files\n"
                           "            __fish_complete_path (commandline -ct)\n"
                           "        else\n"
                           "            echo $line\n"
                           "        end\n"
                           "    end\n"
                           "end\n"
                           "complete -c osm -f -a '(__osm_complete)'\n";

int completion_run(const struct args *args, struct err *e)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        if (strcmp(args->at[0], scripts[i].shell) == 0) {
            fputs(scripts[i].script, stdout);
            return EXIT_OK;
        }
    }
    return err_set(e, "expected bash, zsh or fish, found \"%s\"", args->at[0]);
}
