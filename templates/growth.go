package templates

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// errTooLarge ends an evaluation that makes more than it may.
var errTooLarge = fmt.Errorf("the output is larger than %d bytes; split the template", MaxOutput)

// bounded returns a function that does what f does, but fails where the text
// that it returns is longer than [MaxOutput]: a template that doubles a
// variable ends then, before the memory does.
func bounded(f any) any {
	function := reflect.ValueOf(f)
	kind := function.Type()
	if kind.Out(0).Kind() != reflect.String {
		return f
	}
	var in []reflect.Type
	for i := range kind.NumIn() {
		in = append(in, kind.In(i))
	}
	out := []reflect.Type{kind.Out(0), reflect.TypeFor[error]()}
	return reflect.MakeFunc(reflect.FuncOf(in, out, kind.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		call := function.Call
		if kind.IsVariadic() {
			call = function.CallSlice
		}
		results := append(call(args), reflect.Zero(out[1]))[:2]
		if results[0].Len() > MaxOutput {
			return []reflect.Value{reflect.Zero(out[0]), reflect.ValueOf(errTooLarge)}
		}
		return results
	}).Interface()
}

// sprigFunctions returns sprig's functions that give the same for the same
// arguments. Those that make much of little are bounded before they do.
func sprigFunctions() template.FuncMap {
	functions := sprig.HermeticTxtFuncMap()
	functions["indent"] = indentAll
	functions["nindent"] = func(spaces int, s string) (string, error) {
		text, err := indentAll(spaces, s)
		return "\n" + text, err
	}
	functions["repeat"] = func(count int, s string) (string, error) {
		if len(s) > 0 && count > MaxOutput/len(s) {
			return "", errTooLarge
		}
		return strings.Repeat(s, count), nil
	}
	if until, ok := functions["untilStep"].(func(start, stop, step int) []int); ok {
		bound := func(start, stop, step int) ([]int, error) {
			if err := checkSteps(start, stop, step); err != nil {
				return nil, err
			}
			return until(start, stop, step), nil
		}
		functions["untilStep"] = bound
		functions["until"] = func(count int) ([]int, error) {
			if count < 0 {
				return bound(0, count, -1)
			}
			return bound(0, count, 1)
		}
	}
	if seq, ok := functions["seq"].(func(params ...int) string); ok {
		functions["seq"] = func(params ...int) (string, error) {
			start, stop, step := 1, 1, 1
			switch len(params) {
			case 1:
				stop = params[0]
			case 2:
				start, stop = params[0], params[1]
			case 3:
				start, step, stop = params[0], params[1], params[2]
			}
			if err := checkSteps(start, stop, step); err != nil {
				return "", err
			}
			return seq(params...), nil
		}
	}
	return functions
}

// indentAll puts spaces before every line, empty ones included.
func indentAll(spaces int, s string) (string, error) {
	if spaces > (MaxOutput-len(s))/(1+strings.Count(s, "\n")) {
		return "", errTooLarge
	}
	prefix := strings.Repeat(" ", spaces)
	return prefix + strings.ReplaceAll(s, "\n", "\n"+prefix), nil
}

// checkSteps refuses a list of numbers that is longer than a loop may be.
func checkSteps(start, stop, step int) error {
	size := math.Abs(float64(stop)-float64(start)) / math.Max(math.Abs(float64(step)), 1)
	if size > maxLoop {
		return fmt.Errorf("a list holds at most %d numbers; make it shorter", maxLoop)
	}
	return nil
}
