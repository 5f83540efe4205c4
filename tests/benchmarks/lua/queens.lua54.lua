-- The algorithm of vmlab/programs/queens.vm.

local function place(all, columns, left, right)
  if columns == all then
    return 1
  end
  local free = all & ~(columns | left | right)
  local ways = 0
  while free ~= 0 do
    local bit = free & -free
    free = free ~ bit
    ways = ways + place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1)
  end
  return ways
end

return function(n)
  return place((1 << n) - 1, 0, 0, 0)
end
