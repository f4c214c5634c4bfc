package auth0

import "errors"

const (
	// maxListReads bounds how often a list that shrinks under us is read again.
	maxListReads = 3
	// maxListItems bounds a list. Auth0 allows 100,000 applications and as many
	// grants at most.
	maxListItems = 250_000
)

// errIncomplete says that a list did not hold what it said it holds.
var errIncomplete = errors.New("the list came incomplete")

// readList reads a paginated list to its end and returns each item once. fetch
// returns one page, counted from 0, and how many items the whole list has now.
//
// A list that grows is fine: what stood in it before is not passed over, at most
// seen twice. A list that shrinks is read again from the start. A page with
// fewer items than it must have is errIncomplete, and so is a list without end.
func readList[T any](perPage int, key func(T) string, fetch func(page int) ([]T, int, error)) ([]T, error) {
	for range maxListReads {
		items, shrank, err := readListOnce(perPage, key, fetch)
		if err != nil {
			return nil, err
		}
		if !shrank {
			return items, nil
		}
	}
	return nil, errIncomplete
}

func readListOnce[T any](perPage int, key func(T) string, fetch func(page int) ([]T, int, error)) (items []T, shrank bool, err error) {
	seen := make(map[string]bool)
	for page, most := 0, 0; ; page++ {
		got, total, err := fetch(page)
		switch {
		case err != nil:
			return nil, false, err
		case total >= 0 && total < most:
			return nil, true, nil
		case total > maxListItems, len(got) != min(perPage, total-page*perPage):
			return nil, false, errIncomplete
		}
		most = total
		for _, item := range got {
			if k := key(item); !seen[k] {
				seen[k] = true
				items = append(items, item)
			}
		}
		if (page+1)*perPage >= total {
			return items, false, nil
		}
	}
}
