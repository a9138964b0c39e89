// Package nearest finds what somebody who mistyped a word may have meant.
package nearest

// Hint returns `, did you mean "word"?` for the candidate closest to word, or
// nothing when none is close: more than half of the longer word would change.
func Hint(word string, candidates []string) string {
	best, least := "", 0
	for _, candidate := range candidates {
		longer := max(len(word), len(candidate))
		if d := distance(word, candidate); d*2 <= longer && (best == "" || d < least) {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return `, did you mean "` + best + `"?`
}

// distance is Levenshtein's: the least number of bytes to insert, delete or
// replace. It keeps one row of the table.
func distance(from, to string) int {
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			replaced := diagonal
			if from[i] != to[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
