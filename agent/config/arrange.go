package config

import (
	"slices"
	"strings"
)

// arrange brings the entries of a stanza into the one form that the decoder
// takes, wherever another form means the same:
//
//	sinks { sink "file" { … } }           sink "file" { … }
//	sink = [{ … }, { … }]                 sink { … } sink { … }
//	sink = { file = { … } }               sink "file" { … }
//	config { a = 1 } config { b = 2 }     config { a = 1 b = 2 }
func (d *decoder) arrange(entries body, words *vocabulary, blockType string) body {
	var out body
	for _, e := range entries {
		if words.wraps(e) {
			for _, block := range spread(e, nil) {
				if block.value.kind != object {
					d.problem(block.at, "", "%s: want a block, got %s", e.key, block.value.kind)
				}
				out = append(out, d.arrange(block.value.body, words, blockType)...)
			}
			continue
		}
		f, known := words.find(e.key, blockType)
		if !known || f.stanza == nil {
			out = append(out, e)
			continue
		}
		for _, block := range spread(e, d.vocabulary(f.stanza)) {
			if f.merge && out.absorb(block) {
				continue
			}
			out = append(out, block)
		}
	}
	return out
}

// wraps reports whether an entry is but a wrapper around other blocks.
func (v *vocabulary) wraps(e entry) bool {
	return slices.ContainsFunc(v.fields, func(f field) bool {
		return f.within != "" && strings.EqualFold(f.within, e.key)
	})
}

// spread returns the blocks that an entry stands for: the items of a list, and
// of an object whose keys are labels each value under its label. The words are
// those of the block.
func spread(e entry, words *vocabulary) body {
	var out body
	switch {
	case e.value.kind == list && len(e.value.items) > 0:
		for _, item := range e.value.items {
			out = append(out, spread(entry{key: e.key, labels: e.labels, value: item, at: item.at}, words)...)
		}
	case len(e.labels) == 0 && words != nil && words.labels(e.value):
		for _, child := range e.value.body {
			out = append(out, spread(entry{key: e.key, labels: []string{child.key}, value: child.value, at: child.at}, words)...)
		}
	default:
		out = body{e}
	}
	return out
}

// labels reports whether the keys of an object are labels of blocks, rather
// than keys of one block. A type may have the name of a key: notify "command".
func (v *vocabulary) labels(o value) bool {
	_, labelled := v.label()
	types := v.types()
	return labelled && o.kind == object && len(o.body) > 0 && !slices.ContainsFunc(o.body, func(e entry) bool {
		isLabel := slices.Contains(types, strings.ToLower(e.key)) || !v.has(e.key)
		return !isLabel || !e.value.holdsBlocks() || len(e.labels) > 0
	})
}

// holdsBlocks reports whether a value is an object or a list of them.
func (v value) holdsBlocks() bool {
	isBlock := func(item value) bool { return item.kind == object }
	return isBlock(v) || v.kind == list && len(v.items) > 0 && !slices.ContainsFunc(v.items, func(item value) bool { return !isBlock(item) })
}

// absorb adds the keys of a block to those of an earlier one of the same name,
// if there is one.
func (b body) absorb(block entry) bool {
	i := slices.IndexFunc(b, func(e entry) bool { return strings.EqualFold(e.key, block.key) })
	if i < 0 || b[i].value.kind != object || block.value.kind != object || len(b[i].labels)+len(block.labels) > 0 {
		return false
	}
	b[i].value.body = slices.Concat(b[i].value.body, block.value.body)
	b[i].value.end = block.value.end
	return true
}
