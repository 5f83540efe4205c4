-- The algorithm of vmlab/programs/collatz.vm.

return function(n)
  local longest, best = 0, 0
  for start = 1, n - 1 do
    local k, steps = start, 1
    while k ~= 1 do
      if k & 1 ~= 0 then
        k = 3 * k + 1
      else
        k = k >> 1
      end
      steps = steps + 1
    end
    if steps > longest then
      longest, best = steps, start
    end
  end
  return best
end
