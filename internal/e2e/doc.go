// Package e2e proves Credence from outside: its tests run the credence program
// against a real PostgreSQL, a real OpenBao and the emulated Auth0 tenant, and
// use no door that users lack. It holds nothing but tests.
package e2e
