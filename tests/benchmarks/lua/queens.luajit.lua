-- The algorithm of vmlab/programs/queens.vm. The words are those of bit: 32 bits.

local band, bnot, bor, bxor = bit.band, bit.bnot, bit.bor, bit.bxor
local lshift, rshift = bit.lshift, bit.rshift

local function place(all, columns, left, right)
  if columns == all then
    return 1
  end
  local free = band(all, bnot(bor(columns, left, right)))
  local ways = 0
  while free ~= 0 do
    local lowest = band(free, -free)
    free = bxor(free, lowest)
    ways = ways + place(
      all, bor(columns, lowest), lshift(bor(left, lowest), 1), rshift(bor(right, lowest), 1)
    )
  end
  return ways
end

return function(n)
  return place(lshift(1, n) - 1, 0, 0, 0)
end
