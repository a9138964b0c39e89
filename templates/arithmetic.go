package templates

import (
	"fmt"
	"reflect"
	"text/template"
)

// number is what arithmetic is done in. Of two different kinds the result is
// a float if either is, else a signed integer.
type number interface{ int64 | uint64 | float64 }

func sum[N number](a, b N) N        { return a + b }
func difference[N number](a, b N) N { return a - b }
func product[N number](a, b N) N    { return a * b }
func quotient[N number](a, b N) N   { return a / b }

// addArithmetic adds the functions on two numbers. The second argument is the
// left operand, since that is the one which a pipe brings.
func addArithmetic(functions template.FuncMap) {
	functions["add"] = operation("add", sum[int64], sum[uint64], sum[float64])
	functions["subtract"] = operation("subtract", difference[int64], difference[uint64], difference[float64])
	functions["multiply"] = operation("multiply", product[int64], product[uint64], product[float64])
	functions["divide"] = operation("divide", quotient[int64], quotient[uint64], quotient[float64])
	functions["modulo"] = operation("modulo",
		func(a, b int64) int64 { return a % b }, func(a, b uint64) uint64 { return a % b }, nil)
	functions["minimum"] = func(b, a any) (any, error) { return extreme("minimum", b, a, -1) }
	functions["maximum"] = func(b, a any) (any, error) { return extreme("maximum", b, a, 1) }
}

// operation returns a function for each pair of kinds, where floats may be nil.
func operation(
	name string, ints func(a, b int64) int64, uints func(a, b uint64) uint64, floats func(a, b float64) float64,
) func(b, a any) (any, error) {
	return func(b, a any) (any, error) {
		left, right, err := operands(name, a, b)
		switch {
		case err != nil:
			return nil, err
		case left.CanFloat() || right.CanFloat():
			if floats == nil {
				return nil, fmt.Errorf("%s takes whole numbers, not a %T and a %T", name, a, b)
			}
			return floats(toFloat(left), toFloat(right)), nil
		case left.CanUint() && right.CanUint():
			return uints(left.Uint(), right.Uint()), nil
		default:
			return ints(toSigned(left), toSigned(right)), nil
		}
	}
}

// extreme returns the lesser of two numbers with a sign of -1, the greater
// with 1, in its own kind.
func extreme(name string, b, a any, sign int) (any, error) {
	left, right, err := operands(name, a, b)
	if err != nil {
		return nil, err
	}
	if compareNumbers(left, right) == sign {
		return widest(left), nil
	}
	return widest(right), nil
}

// compareNumbers returns -1, 0 or 1; 0 for what cannot be compared.
func compareNumbers(a, b reflect.Value) int {
	switch {
	case a.CanFloat() || b.CanFloat():
		return order(toFloat(a), toFloat(b))
	case a.CanUint() && b.CanUint():
		return order(a.Uint(), b.Uint())
	default:
		return order(toSigned(a), toSigned(b))
	}
}

func order[N number](a, b N) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func operands(name string, a, b any) (left, right reflect.Value, err error) {
	left, right = reflect.ValueOf(a), reflect.ValueOf(b)
	for _, v := range []reflect.Value{left, right} {
		if !v.CanInt() && !v.CanUint() && !v.CanFloat() {
			return left, right, fmt.Errorf("%s takes two numbers, not a %T and a %T; see parseInt", name, a, b)
		}
	}
	return left, right, nil
}

func toFloat(v reflect.Value) float64 {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	default:
		return v.Float()
	}
}

func toSigned(v reflect.Value) int64 {
	if v.CanUint() {
		return int64(v.Uint())
	}
	return v.Int()
}

func widest(v reflect.Value) any {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	default:
		return v.Float()
	}
}
