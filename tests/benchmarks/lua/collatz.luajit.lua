-- The algorithm of vmlab/programs/collatz.vm. All numbers are doubles: % and / are exact below 2^53,
-- and faster than calls of bit's functions.

return function(n)
  local longest, best = 0, 0
  for start = 1, n - 1 do
    local k, steps = start, 1
    while k ~= 1 do
      if k % 2 ~= 0 then
        k = 3 * k + 1
      else
        k = k / 2
      end
      steps = steps + 1
    end
    if steps > longest then
      longest, best = steps, start
    end
  end
  return best
end
