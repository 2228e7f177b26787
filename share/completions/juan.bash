# Completion of juan for bash: commands and options as --help tells them, names of models and of entries, files.
_juan_models() { juan list | sed -n 's/^[●○◐] \([^ ]*\) .*/\1/p'; }
_juan_entries() { juan shelf list --json | grep -o '"name":"[^"\\]*","damaged"' | sed 's/^"name":"//; s/","damaged"$//'; }
_juan_adapters() { juan adapter list --json | grep -o '"name":"[^"\\]*"' | sed 's/^"name":"//; s/"$//'; }
_juan() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} names=
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(juan --help | sed -n 's/^  \([a-z]*\) .*/\1/p')" -- "$word")
        return
    elif [ "${word#-}" != "$word" ]; then
        names=$(juan "$command" --help | sed -n 's/^  ...  *\(--[a-z-]*\).*/\1/p; s/^  -., \(--[a-z-]*\).*/\1/p')
    elif [[ " --model -m --answerer " == *" ${COMP_WORDS[COMP_CWORD - 1]} "* ]]; then
        names=$(_juan_models)
    elif [[ " --adapter " == *" ${COMP_WORDS[COMP_CWORD - 1]} "* ]]; then
        names="none $(_juan_adapters)"
    elif [[ " --pause --resume " == *" ${COMP_WORDS[COMP_CWORD - 1]} "* || " ask chat " == *" $command "* ]]; then
        names=$(_juan_entries)
    elif [ "$COMP_CWORD" = 3 ] && [ "$command" = eval ]; then
        names=$(_juan_models)
    elif [ "$COMP_CWORD" = 2 ]; then
        case $command in
        eval) names="needle stars ruler longbench agreement qa" ;;
        adapter) names="list try merge rm" ;;
        outline) names=$(_juan_entries) ;;
        shelf) names="list show rm verify export import gc" ;;
        run | inspect | calibrate | tokenize | detokenize | template | quantize | logits | perplexity | bench | rm | pull) names=$(_juan_models) ;;
        esac
    elif [ "$COMP_CWORD" = 3 ] && [ "$command" = adapter ]; then
        names=$(_juan_adapters)
    elif [ "$COMP_CWORD" = 3 ] && [ "$command" = shelf ]; then
        case ${COMP_WORDS[2]} in show | rm | verify | export) names=$(_juan_entries) ;; esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
    [ "${word#-}" != "$word" ] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _juan juan
