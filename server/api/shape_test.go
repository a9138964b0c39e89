package api_test

import (
	"fmt"
	"math"
	"reflect"
	"time"
)

// mismatch tells where got does not have a shape of e2e/testdata/wire, "" if it
// does.
func mismatch(at string, shape, got any) string {
	want, isObject := shape.(map[string]any)
	object, ok := got.(map[string]any)
	if !isObject || !ok {
		if fits(shape, got) {
			return ""
		}
		return fmt.Sprintf("%s is %v, want %v", at, got, shape)
	}
	for name := range object {
		if _, known := want[name]; !known && want["<others>"] == nil {
			return fmt.Sprintf("%s.%s is not expected", at, name)
		}
	}
	for name, inner := range want {
		value, there := object[name]
		if !there && name != "<others>" {
			return fmt.Sprintf("%s.%s is missing", at, name)
		}
		if where := mismatch(at+"."+name, inner, value); there && where != "" {
			return where
		}
	}
	return ""
}

// fits tells whether got is the value, or what a word in angle brackets stands
// for.
func fits(shape, got any) bool {
	text, isText := got.(string)
	number, isNumber := got.(float64)
	switch shape {
	case "<string>":
		return isText && text != ""
	case "<time>":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case "<seconds>":
		return isNumber && number > 0 && number == math.Trunc(number)
	default:
		return reflect.DeepEqual(shape, got)
	}
}
