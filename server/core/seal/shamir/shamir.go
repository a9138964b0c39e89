// Package shamir splits a secret into shares, any threshold of which give it
// back while fewer tell nothing about it (Shamir, 1979).
//
// Each byte of the secret is the value at 0 of a random polynomial of degree
// threshold-1 over GF(256), with the field of AES. A share is the values of
// all polynomials at one point, followed by that point. No branch and no table
// index depends on a secret.
package shamir

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// MaxShares is how many points the field has besides 0.
const MaxShares = 255

// The errors of Combine.
var (
	ErrLength    = errors.New("the shares differ in length")
	ErrDuplicate = errors.New("two shares have the same number")
	ErrShare     = errors.New("a share is too short or has the number 0")
)

// Split returns that many shares of secret, each one byte longer than it. Any
// threshold of them give it back; 1 ≤ threshold ≤ shares ≤ MaxShares.
func Split(secret []byte, shares, threshold int) ([][]byte, error) {
	if len(secret) == 0 || threshold < 1 || shares < threshold || shares > MaxShares {
		return nil, fmt.Errorf("splitting %d bytes into %d shares with threshold %d: use 1 ≤ threshold ≤ shares ≤ %d",
			len(secret), shares, threshold, MaxShares)
	}
	all := make([][]byte, shares)
	for i := range all {
		all[i] = make([]byte, len(secret)+1)
		all[i][len(secret)] = byte(i + 1)
	}
	polynomial := make([]byte, threshold)
	defer clear(polynomial)
	for at, b := range secret {
		rand.Read(polynomial[1:])
		polynomial[0] = b
		for _, share := range all {
			share[at] = evaluate(polynomial, share[len(secret)])
		}
	}
	return all, nil
}

// Combine returns the secret of the shares. It cannot tell whether they are
// enough, nor whether they are right: then it returns something else.
func Combine(shares [][]byte) ([]byte, error) {
	if len(shares) == 0 {
		return nil, ErrShare
	}
	size := len(shares[0]) - 1
	var seen [MaxShares + 1]bool
	for _, share := range shares {
		switch {
		case len(share) < 2 || share[len(share)-1] == 0:
			return nil, ErrShare
		case len(share) != size+1:
			return nil, ErrLength
		case seen[share[size]]:
			return nil, ErrDuplicate
		}
		seen[share[size]] = true
	}
	secret := make([]byte, size)
	for i, share := range shares {
		weight := weightAtZero(shares, i)
		for at := range secret {
			secret[at] ^= multiply(weight, share[at])
		}
	}
	return secret, nil
}

// weightAtZero is the factor of share i in Lagrange's interpolation at 0.
func weightAtZero(shares [][]byte, i int) byte {
	point := func(share []byte) byte { return share[len(share)-1] }
	weight := byte(1)
	for j, other := range shares {
		if j != i {
			weight = multiply(weight, multiply(point(other), inverse(point(other)^point(shares[i]))))
		}
	}
	return weight
}

// evaluate returns the value at x of a polynomial, constant term first.
func evaluate(polynomial []byte, x byte) byte {
	value := byte(0)
	for i := len(polynomial) - 1; i >= 0; i-- {
		value = multiply(value, x) ^ polynomial[i]
	}
	return value
}

// multiply returns the product in GF(256) modulo x⁸+x⁴+x³+x+1.
func multiply(a, b byte) byte {
	product := byte(0)
	for range 8 {
		product ^= a & -(b & 1)
		b >>= 1
		a = a<<1 ^ 0x1b&-(a>>7)
	}
	return product
}

// inverse returns 1/a, which is a²⁵⁴; 0 for 0.
func inverse(a byte) byte {
	result := byte(1)
	for range 7 { // 254 = 2 + 4 + … + 128
		a = multiply(a, a)
		result = multiply(result, a)
	}
	return result
}
